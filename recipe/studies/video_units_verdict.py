"""What the study of video units compares, and the rule by which it ends: pure, numbers in and words out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recipe.evaluation.two_level import TwoLevelGain

UNITS = ("frames", "pairs")
SCORES = ("tIoU", "vIoU")
BUDGETS = ("steps", "tokens")
ALIKE = 0.03  # budgets that differ by no more are one: a second checkpoint would tell nothing


@dataclass(frozen=True)
class Arm:
    """A kind of input.

    Attributes:
        units: "frames" or "pairs".
        rate: frames a second.
    """

    units: str
    rate: float

    @classmethod
    def parse(cls, text: str) -> Arm:
        """Read an arm such as "pairs@2".

        Raises:
            ValueError: It is none.

        >>> Arm.parse("pairs@2")
        Arm(units='pairs', rate=2.0)
        """
        units, _, rate = text.partition("@")
        try:
            number = float(rate)
        except ValueError:
            number = 0.0
        if units not in UNITS or not 0 < number <= 100:
            raise ValueError(f"arm {text!r}, expected units@frames a second, such as frames@1 or pairs@2")
        return cls(units, number)

    @property
    def name(self) -> str:
        """Return the arm as it was written."""
        return f"{self.units}@{self.rate:g}"

    @property
    def folder(self) -> str:
        """Return the arm as the name of a folder."""
        return f"{self.units}-{self.rate:g}".replace(".", "_")

    @property
    def settings(self) -> dict[str, str]:
        """Return the settings of stages and evaluation that make the input."""
        return {"video_units": self.units, "frame_rate": f"{self.rate:g}"}


def steps_at_equal_tokens(steps: int, base_tokens: float, tokens: float) -> int:
    """Return the steps in which an arm sees as many prompt tokens as the first sees in `steps`.

    Args:
        base_tokens, tokens: of a prompt of the first arm and of this one, means.

    >>> steps_at_equal_tokens(300, 50.0, 75.0), steps_at_equal_tokens(300, 50.0, 51.0)
    (200, 300)
    """
    equal = steps * base_tokens / tokens
    return steps if abs(equal / steps - 1) <= ALIKE else max(1, round(equal))


def verdict(gains: Mapping[str, Mapping[str, TwoLevelGain]]) -> str:
    """Return what an arm's differences from the first say: "better", "worse", "mixed" or "no difference shown".

    By one rule: an arm is better where in one score at least, at either budget, the interval and every seed lie above
    0, and in none below it; worse the other way round; mixed where scores or budgets disagree.

    Args:
        gains: budget -> score -> difference.
    """
    sides = {gain.side for scores in gains.values() for gain in scores.values()}
    if {1, -1} <= sides:
        return "mixed"
    return "better" if 1 in sides else "worse" if -1 in sides else "no difference shown"
