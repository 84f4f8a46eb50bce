"""What pays without grounding better: edits of answers that raise a reward while vIoU does not rise.

    python -m bench.hacking_search

An edit is kept if the reward rises and vIoU is no higher than the start's; every other step takes the best of ten.
Starts are answers of a middling model: the true track with noisy boxes and shifted ends. Prints, for each reward, the
means over starts before and after.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

from bench.table import Report, parser_of
from stvg_rewards import (
    Box,
    Scores,
    Track,
    format_answer,
    format_reward,
    generalised_mviou_reward,
    mviou_reward,
    parse_answer,
    scaled_tiou_reward,
    score_answer,
    tiou_reward,
    viou_reward,
)

STARTS, STEPS, CHOICES, SECONDS = 100, 200, 10, 20
# What a run would sum: the reward functions themselves, called with the text as in training.
REWARDS: dict[str, list[Callable[..., list[float | None]]]] = {
    "tIoU": [tiou_reward],
    "mvIoU": [mviou_reward],
    "tIoU + mvIoU": [tiou_reward, mviou_reward],
    "vIoU": [viou_reward],
    "tIoU + vIoU": [tiou_reward, viou_reward],
    "scaled tIoU": [scaled_tiou_reward],
    "scaled tIoU + mvIoU": [scaled_tiou_reward, mviou_reward],
    "generalised mvIoU": [generalised_mviou_reward],
    "tIoU + generalised mvIoU": [tiou_reward, generalised_mviou_reward],
    "format": [format_reward],
}
States = dict[int, Box]


def a_box(rng: random.Random) -> Box:
    """Return a random box in the picture."""
    x, y = rng.uniform(0, 0.7), rng.uniform(0, 0.7)
    return (x, y, x + rng.uniform(0.1, 0.3), y + rng.uniform(0.1, 0.3))


def a_start(rng: random.Random) -> tuple[Track, States]:
    """Return (a true track of 10 seconds in a clip of 20, a mediocre answer to it)."""
    left, top, right, bottom = a_box(rng)
    first = rng.randrange(11)
    true = Track("", dict.fromkeys(range(first, first + 10), (left, top, right, bottom)))
    begin, end = max(0, first + rng.randint(-3, 3)), min(20, first + 10 + rng.randint(-3, 3))
    states = {}
    for second in range(begin, end):
        dx, dy = rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1)
        states[second] = (max(0.0, left + dx), max(0.0, top + dy), min(1.0, right + dx), min(1.0, bottom + dy))
    return true, states


def edited(rng: random.Random, states: States) -> States:
    """Apply one edit that does not use the truth: drop or add a second, redraw a box, move all, keep one part."""
    seconds = sorted(states)
    second = rng.choice(seconds)
    kind = rng.randrange(5)
    if kind == 0 and len(states) > 1:
        return {key: box for key, box in states.items() if key != second}
    if kind == 1:
        return states | {rng.randrange(20): states[second]}
    if kind == 2:
        return states | {second: a_box(rng)}
    if kind == 3 and seconds[0] > 0 and seconds[-1] < 19:
        shift = rng.choice((-1, 1))
        return {key + shift: box for key, box in states.items()}
    other = rng.choice(seconds)
    return {key: box for key, box in states.items() if min(second, other) <= key <= max(second, other)}


def text_of(states: States) -> str:
    """Write the answer as a model would."""
    return format_answer(Track("person-1", states), scale=(1000, 1000))


def scores_of(states: States, true: Track) -> Scores:
    """Return tIoU, mvIoU and vIoU, independent of the reward."""
    scores = score_answer(parse_answer(text_of(states), seconds=SECONDS), true)
    assert scores is not None
    return scores


def reward_of(functions: list[Callable[..., list[float | None]]], states: States, true: Track) -> float:
    """Return the sum of the reward functions, each called as TRL calls it."""
    truth = [{"second": second, "box": list(box)} for second, box in true.boxes.items()]
    return sum(function([text_of(states)], track=[truth], seconds=[SECONDS])[0] or 0.0 for function in functions)


def climb(
    rng: random.Random, functions: list[Callable[..., list[float | None]]], true: Track, states: States
) -> tuple[float, States]:
    """Return the reward and the answer at which the edits end."""
    limit, best = scores_of(states, true).vIoU, reward_of(functions, states, true)
    for step in range(STEPS):
        tried = [edited(rng, states) for _ in range(1 if step % 2 else CHOICES)]
        rewards = [
            (reward_of(functions, changed, true), number)
            for number, changed in enumerate(tried)
            if scores_of(changed, true).vIoU <= limit
        ]
        if rewards and max(rewards)[0] > best:
            best, number = max(rewards)
            states = tried[number]
    return best, states


def main() -> None:
    """Print the table, and a row for each reward."""
    options = parser_of(__doc__).parse_args()
    report = Report("hacking_search", options.rows)
    count = STARTS // 10 if options.quick else STARTS
    table: list[str] = []
    table.append("| reward | before | after | tIoU | mvIoU | vIoU | seconds |\n|---|---|---|---|---|---|---|")
    for name, functions in REWARDS.items():
        rng = random.Random(0)
        starts = [a_start(rng) for _ in range(count)]
        before = [scores_of(states, true) for true, states in starts]
        rewards = [reward_of(functions, states, true) for true, states in starts]
        ends = [climb(rng, functions, true, states) for true, states in starts]
        after = [scores_of(states, true) for (true, _), (_, states) in zip(starts, ends, strict=True)]
        lengths = (
            statistics.mean(len(states) for _, states in starts),
            statistics.mean(len(states) for _, states in ends),
        )
        cells = [f"{statistics.mean(side):.2f}" for side in (rewards, [reward for reward, _ in ends])]
        for part in ("tIoU", "mvIoU", "vIoU"):
            low, high = (statistics.mean(getattr(scores, part) for scores in side) for side in (before, after))
            cells.append(f"{low:.2f} -> {high:.2f}")
        table.append(f"| {name} | {' | '.join(cells)} | {lengths[0]:.1f} -> {lengths[1]:.1f} |")
        gained = [statistics.mean(reward for reward, _ in ends), statistics.mean(rewards)]
        report.add(f"{name}: reward after edits that ground no better, {count} starts", *gained, "", "before")
    print("\n".join(table))


if __name__ == "__main__":
    main()
