"""What pays without grounding better, for the rewards of time alone and of one image.

    python -m bench.hacking_search_others

As `bench.hacking_search` does for tubes: an edit of the answer is kept where the reward rises and the task's own
metric (IoU) does not rise above the start's. Half of the steps take a random edit that helps, half the best of twenty.
Prints, for each reward, means over starts before and after, and how large the answers became beside the truths.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from typing import NamedTuple

from bench.table import Report, parser_of
from stvg_rewards import (
    box_iou,
    box_reward,
    generalised_box_reward,
    generalised_interval_reward,
    interval_iou,
    interval_reward,
    point_reward,
    scaled_interval_reward,
    stepped_box_reward,
)

STARTS, STEPS, CHOICES, DURATION = 100, 200, 20, 60.0
Answer = list[tuple[float, ...]]


class Task(NamedTuple):
    """A task: its starts and edits, how an answer is written, its metric, its size, and its rewards."""

    start: Callable[[random.Random], tuple[Answer, Answer]]  # (truth, answer)
    edited: Callable[[random.Random, Answer], Answer]
    text_of: Callable[[Answer], str]
    iou: Callable[[Answer, Answer], float]
    size: Callable[[Answer], float]
    rewards: dict[str, Callable[[str, Answer], float]]


# --- time alone: one or two intervals in a minute --------------------------------------------------------------------


def some_interval(rng: random.Random) -> tuple[float, float]:
    """Return a random interval in the clip."""
    start = rng.uniform(0, DURATION - 5)
    return (round(start, 1), round(min(DURATION, start + rng.uniform(2, 20)), 1))


def time_start(rng: random.Random) -> tuple[Answer, Answer]:
    """Make one or two events, and an answer that is off by some seconds at each end."""
    true: Answer = [some_interval(rng) for _ in range(rng.choice((1, 1, 2)))]
    answer: Answer = []
    for start, end in true:
        begin = max(0.0, start + rng.uniform(-4, 4))
        answer.append((round(begin, 1), round(min(DURATION, max(begin + 1, end + rng.uniform(-4, 4))), 1)))
    return true, answer


def time_edited(rng: random.Random, answer: Answer) -> Answer:
    """Move an end, add, drop or copy an interval, or name the whole clip."""
    kind, index = rng.randrange(6), rng.randrange(len(answer))
    start, end = answer[index]
    others = answer[:index] + answer[index + 1 :]
    if kind < 2:
        moved = (start + rng.gauss(0, 3), end) if kind else (start, end + rng.gauss(0, 3))
        moved = (round(max(0.0, moved[0]), 1), round(min(DURATION, moved[1]), 1))
        return [*others, moved] if moved[0] < moved[1] else answer
    if kind == 2:
        return [*answer, some_interval(rng)]
    if kind == 3 and others:
        return others
    return [*answer, (start, end)] if kind == 4 else [*others, (0.0, DURATION)]


TIME = Task(
    time_start,
    time_edited,
    lambda answer: str([list(interval) for interval in answer]),
    interval_iou,
    lambda answer: sum(end - start for start, end in answer),
    {
        "interval": lambda text, true: interval_reward([text], [true], [DURATION])[0] or 0.0,
        "scaled interval": lambda text, true: scaled_interval_reward([text], [true], [DURATION])[0] or 0.0,
        "generalised interval": lambda text, true: generalised_interval_reward([text], [true], [DURATION])[0] or 0.0,
    },
)

# --- one image: a box ------------------------------------------------------------------------------------------------


def image_start(rng: random.Random) -> tuple[Answer, Answer]:
    """Make a box, and an answer whose sides are off by up to a tenth of the picture."""
    x, y = rng.uniform(0, 0.7), rng.uniform(0, 0.7)
    true = (x, y, x + rng.uniform(0.1, 0.3), y + rng.uniform(0.1, 0.3))
    near = [min(1.0, max(0.0, side + rng.uniform(-0.1, 0.1))) for side in true]
    return [true], [(near[0], near[1], max(near[0] + 0.02, near[2]), max(near[1] + 0.02, near[3]))]


def image_edited(rng: random.Random, answer: Answer) -> Answer:
    """Move a side or the whole box, halve or double it about its centre, or name the whole picture."""
    left, top, right, bottom = answer[0]
    kind, by = rng.randrange(4), rng.gauss(0, 0.05)
    sides = [left, top, right, bottom]
    if kind == 0:
        sides[rng.randrange(4)] += by
    elif kind == 1:
        side = rng.randrange(2)
        sides[side], sides[side + 2] = sides[side] + by, sides[side + 2] + by
    elif kind == 2:
        grow = rng.choice((0.5, 2.0))
        middle = ((left + right) / 2, (top + bottom) / 2)
        sides = [middle[k % 2] + grow * (side - middle[k % 2]) for k, side in enumerate(sides)]
    else:
        sides = [0.0, 0.0, 1.0, 1.0]
    left, top, right, bottom = (min(1.0, max(0.0, side)) for side in sides)
    return [(left, top, right, bottom)] if right - left > 0.005 and bottom - top > 0.005 else answer


IMAGE = Task(
    image_start,
    image_edited,
    lambda answer: str([round(1000 * side) for side in answer[0]]),
    lambda answer, true: box_iou(answer[0], true[0]),
    lambda answer: (answer[0][2] - answer[0][0]) * (answer[0][3] - answer[0][1]),
    {
        "box": lambda text, true: box_reward([text], true)[0] or 0.0,
        "generalised box": lambda text, true: generalised_box_reward([text], true)[0] or 0.0,
        "stepped box": lambda text, true: stepped_box_reward([text], true)[0] or 0.0,
        "point": lambda text, true: point_reward([text], true)[0] or 0.0,
    },
)


def climb(
    rng: random.Random, task: Task, reward: Callable[[str, Answer], float], true: Answer, answer: Answer
) -> Answer:
    """Return the answer at which the edits end."""
    limit, best = task.iou(answer, true), reward(task.text_of(answer), true)
    for step in range(STEPS):
        tried = [task.edited(rng, answer) for _ in range(1 if step % 2 else CHOICES)]
        allowed = [edit for edit in tried if task.iou(edit, true) <= limit]
        if allowed:
            value, edit = max(((reward(task.text_of(edit), true), edit) for edit in allowed), key=lambda pair: pair[0])
            if value > best:
                best, answer = value, edit
    return answer


def main() -> None:
    """Print the table, and a row for each reward."""
    options = parser_of(__doc__).parse_args()
    report = Report("hacking_search_others", options.rows)
    count = STARTS // 10 if options.quick else STARTS
    table: list[str] = []
    table.append("| reward | before | after | IoU | size / true size |\n|---|---|---|---|---|")
    for task in (TIME, IMAGE):
        for name, reward in task.rewards.items():
            rng = random.Random(0)
            starts = [task.start(rng) for _ in range(count)]
            ends = [(true, climb(rng, task, reward, true, answer)) for true, answer in starts]
            cells = []
            for measure in (
                lambda true, answer: reward(task.text_of(answer), true),  # noqa: B023  called only in this round
                lambda true, answer: task.iou(answer, true),  # noqa: B023
                lambda true, answer: task.size(answer) / task.size(true),  # noqa: B023
            ):
                low, high = (statistics.mean(measure(*pair) for pair in side) for side in (starts, ends))
                cells.append(f"{low:.2f} -> {high:.2f}")
                if not cells[1:]:  # the first is the reward
                    report.add(
                        f"{name}: reward after edits that ground no better, {count} starts", high, low, "", "before"
                    )
            table.append(f"| {name} | {cells[0].replace(' -> ', ' | ')} | {cells[1]} | {cells[2]} |")
    print("\n".join(table))


if __name__ == "__main__":
    main()
