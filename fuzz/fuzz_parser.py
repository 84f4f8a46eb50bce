"""Coverage-guided fuzzing of everything that reads model text: nothing that a model writes may raise.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris && /tmp/fuzz/bin/pip install .
    mkdir -p /tmp/fuzz/corpus
    /tmp/fuzz/bin/python fuzz/fuzz_parser.py -atheris_runs=15000000 -max_len=256 -dict=fuzz/answers.dict \
        /tmp/fuzz/corpus

Each execution reads one text in one way: 12 in 16 as an answer. Now and then a line counts the ways. A
checksum chooses the way, so that the fuzzer cannot settle on those that have more code.
atheris is not among the development requirements: it has wheels for few Python versions.
"""

import sys
import zlib
from collections import Counter

import atheris

with atheris.instrument_imports(include=["stvg_rewards"]):
    from stvg_rewards import (
        Track,
        format_reward,
        parse_answer,
        parse_box,
        parse_intervals,
        parse_point,
        parse_tracks,
        score_answer,
        tiou_reward,
    )
    from stvg_rewards.rewards import DISCARDED, REPAIRED

TRUE = Track("a", {0: (0.0, 0.0, 0.5, 0.5), 2: (0.1, 0.1, 0.6, 0.6)})
COLUMNS = {"track": [[{"second": 0, "box": [0.0, 0.0, 0.5, 0.5]}]], "span": [[0, 0]], "seconds": [4]}
SECONDS = (None, 1, 4, 1000)
counts: Counter[str] = Counter()


def in_picture(box: tuple[float, float, float, float]) -> bool:
    """Return whether the box is normalised and has an area."""
    return 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1


def read_answer(text: str, seconds: int | None, salvage: bool, scale: tuple[int, int]) -> None:
    """Check what holds for every answer and its scores with one target."""
    answer = parse_answer(text, seconds=seconds, salvage=salvage, scale=scale)
    scores = score_answer(answer, TRUE, (0, 2))
    assert scores is not None
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert sum(answer.discarded_by.values()) == answer.discarded
    assert set(answer.discarded_by) <= set(DISCARDED) and set(answer.repaired) <= set(REPAIRED)
    assert not (answer.complete and answer.repaired)
    assert not set(answer.unboxed) & answer.track.boxes.keys()
    assert not (answer.complete and (answer.salvaged or answer.discarded or not answer.parsed))
    assert (answer.span is None) <= (not answer.track.boxes)
    if answer.span is not None:
        assert 0 <= answer.span[0] <= answer.span[1]
        assert seconds is None or answer.span[1] < seconds
    assert all(map(in_picture, answer.track.boxes.values()))


def read_rewards(text: str) -> None:
    """Check that the answer that is kept and the one that is read again get the same rewards."""
    rewards = (*tiou_reward([text], **COLUMNS), *format_reward([text], **COLUMNS))
    assert all(reward is not None and 0.0 <= reward <= 1.0 for reward in rewards)
    answer = parse_answer(text, seconds=4)
    scores = score_answer(answer, Track("", {0: (0.0, 0.0, 0.5, 0.5)}), (0, 0))
    assert scores is not None and rewards == (scores.tIoU, float(answer.complete))
    for column in (
        {"spans": [[[0, 0], [2, 3]]]},
        {"no_target": [True], "track": [None]},
        {"temporal": [True], "track": [None], "spans": [[[0, 0], [2, 3]]]},
    ):
        (reward,) = tiou_reward([text], **{**COLUMNS, **column})
        assert reward is not None and 0.0 <= reward <= 1.0


def read_intervals(text: str, duration: float | None) -> None:
    """Check that time spans in words or JSON come out sorted, not empty, and inside the clip."""
    intervals = parse_intervals(text, duration=duration)
    ends = [end for interval in intervals for end in interval]
    assert ends == sorted(ends) and all(start < end for start, end in intervals)
    assert not ends or (ends[0] >= 0 and ends[-1] <= (duration or float("inf")))


def read_image(text: str) -> None:
    """Check the reading and the scores of a box and a point in an image."""
    box, point = parse_box(text), parse_point(text)
    assert box is None or in_picture(box)
    assert point is None or all(map(float.__le__, map(abs, point), (1e9, 1e9)))


def one(data: bytes) -> None:
    """Read one text in one way."""
    way, text = zlib.crc32(data) % 256, data.decode("utf-8", "surrogateescape")  # lone surrogates too
    if (kind := way % 16) < 12:
        name = "answer"
        read_answer(text, SECONDS[way % 4], kind != 2, (1000, 1000) if kind < 8 else (640, 3))
    elif kind == 12:
        name = "tracks"
        assert all(
            in_picture(box)
            for track in parse_tracks(text, seconds=SECONDS[way // 16 % 4])
            for box in track.boxes.values()
        )
    elif kind == 13:
        name = "rewards"
        read_rewards(text)
    elif kind == 14:
        name = "intervals"
        read_intervals(text, (None, 5.0)[way // 16 % 2])
    else:
        name = "image"
        read_image(text)
    counts[name] += 1
    if not counts[name] % 100_000:
        print("read:", dict(counts), file=sys.stderr, flush=True)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
