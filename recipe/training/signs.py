"""Signs at a stage's end that its numbers mean little: a model that does not look, or answers that nothing reads."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

LOOKS = 1.3  # loss with another clip's pictures over the loss with the right ones
READ, CUT, FLAT = 0.9, 0.2, 0.8  # shares of a stage's last answers and groups
RED, PLAIN = "\033[31m", "\033[0m"


def signs_of(results: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each sign; none where all is well or nothing was measured.

    Args:
        results: of the stage, for its stamp; `wrong_image_loss_ratio` is read.
        history: the trainer's log; of each number the last entry is read.

    >>> signs_of({"wrong_image_loss_ratio": 4.2}, [{"parse_rate": 0.2}, {"parse_rate": 0.7}])
    ['30% of the last answers cannot be read (parse_rate) and earn nothing']
    """
    last: dict[str, float] = {}
    for entry in history:
        last.update({name: value for name, value in entry.items() if isinstance(value, int | float)})
    found = []
    ratio = results.get("wrong_image_loss_ratio")
    if ratio is not None and not ratio >= LOOKS:
        found.append(
            f"the loss with another clip's pictures is {ratio:.2f} times that with the right ones (below {LOOKS:g}): "
            "the model hardly looks"
        )
    if last.get("parse_rate", 1) < READ:
        found.append(f"{1 - last['parse_rate']:.0%} of the last answers cannot be read (parse_rate) and earn nothing")
    if last.get("completions/clipped_ratio", 0) > CUT:
        share = last["completions/clipped_ratio"]
        found.append(
            f"{share:.0%} of the last answers are cut off at max_completion_length (completions/clipped_ratio)"
        )
    if last.get("frac_reward_zero_std", 0) > FLAT:
        share = last["frac_reward_zero_std"]
        found.append(f"{share:.0%} of the last groups have equal rewards (frac_reward_zero_std) and teach nothing")
    return found


def print_signs(stage: str, signs: Sequence[str]) -> None:
    """Print the signs as one line on stderr, red on a terminal; nothing where there is none."""
    if signs:
        red, plain = (RED, PLAIN) if sys.stderr.isatty() else ("", "")
        print(f"{red}warning: {stage}: {'; '.join(signs)}{plain}", file=sys.stderr)
