"""Coverage-guided fuzzing of the answer parser: nothing that a model writes may raise.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris && /tmp/fuzz/bin/pip install .
    /tmp/fuzz/bin/python fuzz/fuzz_parser.py -atheris_runs=10000000 -max_len=2000 -dict=fuzz/answers.dict

atheris is not among the development requirements: it has wheels for few Python versions.
"""

import sys

import atheris

with atheris.instrument_imports(include=["stvg_rewards"]):
    from stvg_rewards import Track, format_reward, parse_answer, parse_tracks, score_answer, tiou_reward

TRUE = Track("a", {0: (0.0, 0.0, 0.5, 0.5), 2: (0.1, 0.1, 0.6, 0.6)})
COLUMN = [[{"second": 0, "box": [0.0, 0.0, 0.5, 0.5]}]]


def one(data: bytes) -> None:
    """Parse one text in every way; check what holds for every answer."""
    provider = atheris.FuzzedDataProvider(data)
    choice = provider.ConsumeIntInRange(0, 3)
    text = provider.ConsumeUnicode(sys.maxsize)  # lone surrogates too
    seconds = (None, 1, 4, 1000)[choice]
    answer = parse_answer(text, seconds=seconds, salvage=choice != 2)
    scores = score_answer(answer, TRUE, (0, 2))
    assert scores is not None
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert sum(answer.discarded_by.values()) == answer.discarded
    assert answer.span is None or answer.span[0] <= answer.span[1]
    assert all(0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1 for box in answer.track.boxes.values())
    parse_tracks(text, seconds=seconds)
    if choice == 3:
        (reward,) = tiou_reward([text], track=COLUMN, span=[[0, 0]], seconds=[4])
        assert reward is not None and 0.0 <= reward <= 1.0
        format_reward([text], track=COLUMN, span=[[0, 0]], seconds=[4])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
