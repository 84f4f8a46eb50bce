"""What pays without grounding better: random edits of answers that raise a reward while vIoU does not rise.

    python -m bench.hacking_search

Every edit is kept if the reward rises and vIoU is no higher than the start's. Starts are answers of a middling model:
the true track with noisy boxes and shifted ends. Prints, for each reward, the mean over starts before and after.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

from stvg_rewards import Box, Scores, Track, format_answer, parse_answer, score_answer

STARTS, EDITS = 100, 400
REWARDS: dict[str, Callable[[Scores], float]] = {
    "tIoU": lambda scores: scores.tIoU,
    "mvIoU": lambda scores: scores.mvIoU,
    "tIoU + mvIoU": lambda scores: scores.tIoU + scores.mvIoU,
    "vIoU": lambda scores: scores.vIoU,
}
States = dict[int, Box]


def a_box(rng: random.Random) -> Box:
    """Any box in the picture."""
    x, y = rng.uniform(0, 0.7), rng.uniform(0, 0.7)
    return (x, y, x + rng.uniform(0.1, 0.3), y + rng.uniform(0.1, 0.3))


def a_start(rng: random.Random) -> tuple[Track, States]:
    """(truth of 10 seconds in a clip of 20, a middling answer to it)."""
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
    """One edit that needs no look at the truth: drop or add a second, another box, move all, keep one part."""
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


def scores_of(states: States, true: Track) -> Scores:
    """Through the text, as in training."""
    text = format_answer(Track("person-1", states), scale=(1000, 1000))
    scores = score_answer(parse_answer(text, seconds=20), true)
    assert scores is not None
    return scores


def climb(rng: random.Random, reward: Callable[[Scores], float], true: Track, states: States) -> tuple[Scores, States]:
    """The scores and the answer that the edits end at."""
    best = start = scores_of(states, true)
    for _ in range(EDITS):
        changed = edited(rng, states)
        scores = scores_of(changed, true)
        if scores.vIoU <= start.vIoU and reward(scores) > reward(best):
            best, states = scores, changed
    return best, states


def main() -> None:
    """Print the table."""
    print("| reward | before | after | tIoU | mvIoU | vIoU | seconds |\n|---|---|---|---|---|---|---|")
    for name, reward in REWARDS.items():
        rng = random.Random(0)
        starts = [a_start(rng) for _ in range(STARTS)]
        before = [scores_of(states, true) for true, states in starts]
        ends = [climb(rng, reward, true, states) for true, states in starts]
        after = [scores for scores, _ in ends]
        lengths = (
            statistics.mean(len(states) for _, states in starts),
            statistics.mean(len(states) for _, states in ends),
        )
        cells = [f"{statistics.mean(map(reward, side)):.2f}" for side in (before, after)]
        for part in ("tIoU", "mvIoU", "vIoU"):
            low, high = (statistics.mean(getattr(scores, part) for scores in side) for side in (before, after))
            cells.append(f"{low:.2f} -> {high:.2f}")
        print(f"| {name} | {' | '.join(cells)} | {lengths[0]:.1f} -> {lengths[1]:.1f} |")


if __name__ == "__main__":
    main()
