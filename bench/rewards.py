"""CPU time of reading and scoring answers: against bare json.loads, against the usual regex-based ways, and growth.

    python -m bench.rewards

1,024 completions of 60-second tracks, fresh texts in each round, results discarded; the median of the rounds' ratios.
The public reward calls are timed as TRL makes them, on batches of 64 with all columns, with one truth a completion and
with one for the 8 completions of a prompt, against `json.loads` of the same completions in the same round.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import time
from collections.abc import Callable

import numpy as np

from bench.table import Report, parser_of
from stvg_rewards import Track, format_answer, mviou_reward, parse_answer, score_answer, tiou_reward

COMPLETIONS, SECONDS, ROUNDS = 1024, 60, 7
BATCH, GROUP = 64, 8
STATE = re.compile(r'"(\d+)"\s*:\s*\[\s*\{[^}]*?"bbox_2d"\s*:\s*\[([^\]]*)\]')


def a_track(rng: random.Random, seconds: int) -> Track:
    """Make a track with a moving box in every second."""
    boxes = {}
    for second in range(seconds):
        x, y = rng.uniform(0, 0.6), rng.uniform(0, 0.6)
        boxes[second] = (x, y, x + rng.uniform(0.05, 0.4), y + rng.uniform(0.05, 0.4))
    return Track("person-1", boxes)


def common_verifier(text: str, true: Track) -> tuple[float, float, float]:
    """Score the usual way: take the text after the tag, find states by a regular expression, loop over the union."""
    answer = text.split("</think>")[-1]
    predicted = {int(k): [float(v) / 1000 for v in box.split(",")] for k, box in STATE.findall(answer)}
    if not predicted:
        return 0.0, 0.0, 0.0
    ours = set(range(min(predicted), max(predicted) + 1))
    theirs = set(range(min(true.boxes), max(true.boxes) + 1))
    ious = []
    for second in ours & theirs:
        a, b = predicted.get(second), true.boxes.get(second)
        if a is None or b is None:
            ious.append(0.0)
            continue
        width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        shared = width * height
        ious.append(shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared))
    union = len(ours | theirs)
    return len(ours & theirs) / union, sum(ious) / max(1, len(ious)), sum(ious) / union


def numpy_verifier(text: str, true: Track) -> tuple[float, float, float]:
    """Score the usual way with arrays: one row a second of the union, NaN where there is no box."""
    answer = text.split("</think>")[-1]
    states = STATE.findall(answer)
    if not states:
        return 0.0, 0.0, 0.0
    seconds = np.array([int(k) for k, _ in states])
    boxes = np.array([box.split(",") for _, box in states], dtype=float) / 1000
    true_seconds, true_boxes = np.array(list(true.boxes)), np.array(list(true.boxes.values()))
    first, last = min(seconds.min(), true_seconds.min()), max(seconds.max(), true_seconds.max())
    ours, theirs = np.full((last - first + 1, 4), np.nan), np.full((last - first + 1, 4), np.nan)
    ours[seconds - first], theirs[true_seconds - first] = boxes, true_boxes
    begin, end = max(seconds.min(), true_seconds.min()), min(seconds.max(), true_seconds.max())
    if end < begin:
        return 0.0, 0.0, 0.0
    a, b = ours[begin - first : end - first + 1], theirs[begin - first : end - first + 1]
    size = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    shared = size[:, 0] * size[:, 1]
    areas = np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1)
    ious = np.nan_to_num(shared / (areas - shared))
    union = last - first + 1
    return (end - begin + 1) / union, float(ious.mean()), float(ious.sum()) / union


def cpu_seconds(work: Callable[[], None]) -> float:
    """Return the CPU seconds of one call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def texts_of(rng: random.Random, count: int, seconds: int) -> tuple[list[str], list[str], list[Track]]:
    """Make (completions, the JSON in them, true tracks), new each time."""
    tracks = [a_track(rng, seconds) for _ in range(count)]
    answers = [format_answer(a_track(rng, seconds), scale=(1000, 1000)) for _ in range(count)]
    return [f"<think>It starts at once.</think><answer>{a}</answer>" for a in answers], answers, tracks


def one_round(rng: random.Random, count: int, seconds: int) -> dict[str, float]:
    """Return the CPU seconds of each way over the same fresh texts."""
    completions, answers, tracks = texts_of(rng, count, seconds)

    def ours() -> None:
        for text, true in zip(completions, tracks, strict=True):
            score_answer(parse_answer(text, seconds=seconds), true)

    def bare() -> None:
        for answer in answers:
            json.loads(answer)

    def common() -> None:
        for text, true in zip(completions, tracks, strict=True):
            common_verifier(text, true)

    def arrays() -> None:
        for text, true in zip(completions, tracks, strict=True):
            numpy_verifier(text, true)

    return {
        "ours": cpu_seconds(ours),
        "json.loads": cpu_seconds(bare),
        "regex and loop": cpu_seconds(common),
        "regex and numpy": cpu_seconds(arrays),
    }


def reward_calls(rng: random.Random, group: int) -> dict[str, float]:
    """Return the CPU seconds of one and of two public reward calls on a fresh batch, and of json.loads of its answers.

    Args:
        group: number of completions that share a prompt, and so a truth of equal value.
    """
    completions, answers, tracks = texts_of(rng, BATCH, SECONDS)
    columns = {
        # Each row has objects of its own, as a data loader makes them.
        "track": [
            [{"second": second, "box": list(box)} for second, box in tracks[row // group * group].boxes.items()]
            for row in range(BATCH)
        ],
        "span": [[0, SECONDS - 1] for _ in range(BATCH)],
        "seconds": [SECONDS] * BATCH,
        "box_scale": [[1000, 1000] for _ in range(BATCH)],
        "prompts": ["p"] * BATCH,
    }
    logs: dict[str, Callable[..., None]] = {
        "log_metric": lambda name, value: None,
        "log_extra": lambda name, values: None,
    }

    def bare() -> None:
        for answer in answers:
            json.loads(answer)

    times = {"json.loads": cpu_seconds(bare)}
    times["one reward"] = cpu_seconds(lambda: void(tiou_reward(completions=completions, **columns, **logs)))
    second = cpu_seconds(lambda: void(mviou_reward(completions=completions, **columns, **logs)))
    times["two rewards"] = times["one reward"] + second
    return times


def void(_: object) -> None:
    """Discard a result."""


def compare(report: Report, what: str, rounds: list[dict[str, float]], name: str, peer: str) -> None:
    """Add a row: the median of the rounds' ratios, and how far they reach."""
    ratios = sorted(times[name] / times[peer] for times in rounds)
    spent = statistics.median(times[name] for times in rounds)
    reach = f"{what} (ratios {ratios[len(ratios) // 10]:.2f} to {ratios[-1 - len(ratios) // 10]:.2f})"
    report.add(reach, 1000 * spent, 1000 * spent / statistics.median(ratios), "CPU ms", peer)


def measure_reward_calls(rng: random.Random, rounds: int, report: Report) -> None:
    """Measure the public reward calls."""
    for group in (1, GROUP):
        times = [reward_calls(rng, group) for _ in range(rounds * COMPLETIONS // BATCH)]
        shared = "a truth each" if group == 1 else f"{group} completions a truth"
        for name in ("one reward", "two rewards"):
            compare(report, f"{name} of {BATCH} completions, {shared}", times, name, "json.loads")


def main() -> None:
    """Measure reading and scoring."""
    options = parser_of(__doc__).parse_args()
    report, rng = Report("rewards", options.rows), random.Random(0)
    count = 2 if options.quick else ROUNDS
    measure_reward_calls(rng, count, report)
    rounds = [one_round(rng, COMPLETIONS, SECONDS) for _ in range(count)]
    for peer in ("json.loads", "regex and loop", "regex and numpy"):
        compare(report, f"{COMPLETIONS} completions parsed and scored", rounds, "ours", peer)
    base = statistics.median(one_round(rng, 64, 60)["ours"] for _ in range(count)) / (64 * 60)
    for seconds in (240,) if options.quick else (240, 900, 3600):
        spent = statistics.median(one_round(rng, 64 * 60 // seconds or 1, seconds)["ours"] for _ in range(count))
        state = spent / ((64 * 60 // seconds or 1) * seconds)
        report.add(f"a state of a {seconds}-second track", 1e6 * state, 1e6 * base, "CPU us", "of a 60-second one")


if __name__ == "__main__":
    main()
