"""Verdicts on the paper's claims from paired scores: confirmed, not confirmed or not testable, with their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipe.evaluation.scores import Sample, paired_gain

CONFIRMED, NOT_CONFIRMED, NOT_TESTABLE = "confirmed", "not confirmed", "not testable here"
Runs = Sequence[Sequence[Sample]]


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and the verdict on it here.

    Attributes:
        text: the claim in our words; where: the paper's section, table or figure.
        verdict: CONFIRMED, NOT_CONFIRMED or NOT_TESTABLE.
        numbers: what was measured, in one line.
        why: the reason where it is not confirmed or not testable; what it does not show where it is.
    """

    text: str
    where: str
    verdict: str
    numbers: str
    why: str


def by_clip(runs: Runs, metric: str) -> list[float]:
    """Return a metric's value for each clip: the mean over repeated runs.

    Args:
        runs: scored samples, one list a run, the same clips in the same order.
        metric: m_tIoU, m_vIoU, mvIoU, or a share such as vIoU@0.5 (strictly above, as in DEFINITIONS).
    """
    name, _, threshold = metric.removeprefix("m_").partition("@")
    columns = zip(*runs, strict=True)
    values = [[getattr(sample.scores, name) for sample in column] for column in columns]
    if threshold:
        values = [[float(value > float(threshold)) for value in column] for column in values]
    return [sum(column) / len(column) for column in values]


def mean_over(columns: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of several lists, element by element.

    >>> mean_over([[0.0, 1.0], [1.0, 1.0]])
    [0.5, 1.0]
    """
    return [sum(values) / len(values) for values in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Difference:
    """How far B lies above A on the same clips.

    Attributes:
        mean, low, high: of the clips' means over seeds, with the bootstrap 95 % interval over clips.
        seeds: the mean of each seed.
    """

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]

    @property
    def above(self) -> bool:
        """Whether B is above A: the interval lies above 0, and so does every seed."""
        return self.low > 0 and all(seed > 0 for seed in self.seeds)

    def __str__(self) -> str:
        seeds = ", ".join(f"{seed:+.3f}" for seed in self.seeds)
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]" + (
            f" (seeds {seeds})" if len(self.seeds) > 1 else ""
        )


def difference(before: Sequence[Sequence[float]], after: Sequence[Sequence[float]]) -> Difference:
    """Return by how much B's scores exceed A's, paired by clip.

    Both are lists of scores by clip, one list for each seed; a single list of A stands for all seeds of B.

    >>> found = difference([[0.1, 0.2]], [[0.2, 0.3], [0.4, 0.5]])
    >>> [round(value, 6) for value in (found.mean, found.low, *found.seeds)], found.above
    ([0.2, 0.2, 0.1, 0.3], True)
    """
    befores = list(before) * (len(after) if len(before) == 1 else 1)
    gain = paired_gain(mean_over(befores), mean_over(after))
    seeds = tuple(
        sum(b - a for a, b in zip(one, other, strict=True)) / len(one)
        for one, other in zip(befores, after, strict=True)
    )
    return Difference(gain["mean"], gain["low95"], gain["high95"], seeds)


def rl_over_sft(decoding: str, differences: Mapping[str, Difference]) -> Claim:
    """Judge table 1's claim that RL with the whole verifier beats SFT, metric by metric."""
    short = [name for name, gain in differences.items() if not gain.above]
    return Claim(
        f"RL with tIoU + mvIoU is above SFT on all three metrics ({decoding} answers)",
        "table 1",
        NOT_CONFIRMED if short else CONFIRMED,
        "; ".join(f"{name} {gain}" for name, gain in differences.items()),
        f"not above 0 over clips and in every seed: {', '.join(short)}. SFT's greedy answers are near what this model "
        "can do; RL moves the sampled ones towards them first"
        if short
        else "a model of 0.8 M parameters on coloured shapes; how much it is at 9B is not known from this",
    )


def whole_verifier(
    decoding: str, gain: Difference, against_other: Difference, span_ratio: Mapping[str, float]
) -> Claim:
    """Judge the claim of table 1 and section 5.1 that tIoU + mvIoU ends above mvIoU only.

    Args:
        gain: of m_vIoU, tIoU + mvIoU over mvIoU.
        against_other: of m_vIoU, vIoU as the reward over tIoU + mvIoU.
        span_ratio: reward -> predicted over true span of the rollouts, late in training.
    """
    ratios = f"{span_ratio['mviou']:.2f} times the true ones ({span_ratio['tiou_mviou']:.2f})"
    longer = span_ratio["mviou"] > 1.05 * span_ratio["tiou_mviou"]
    reason = (
        f"with mvIoU alone spans grow to {ratios} late in training: it takes nothing for seconds outside the event"
        if longer
        else f"spans alone do not tell the two apart: late in training those of mvIoU are {ratios}"
    )
    other = "does better still" if against_other.above else "is not above it"
    return Claim(
        f"tIoU + mvIoU ends above mvIoU alone on m_vIoU ({decoding} answers)",
        "table 1, section 5.1",
        CONFIRMED if gain.above else NOT_CONFIRMED,
        f"{gain}; vIoU as the reward over tIoU + mvIoU {against_other}",
        ("" if gain.above else "The interval or a seed reaches 0. ")
        + reason
        + f". The tube metric itself as the reward {other} here",
    )


def faster(score: float, steps: Mapping[str, Sequence[float | None]]) -> Claim:
    """Judge the claim of section 4.2 that tIoU + mvIoU needs fewer steps to the same m_vIoU than mvIoU only.

    Args:
        steps: reward -> the step of each seed at which its running mean reaches the score, None where it never does.
    """
    pairs = list(zip(steps["tiou_mviou"], steps["mviou"], strict=True))
    ahead = [b is None or a < b for a, b in pairs if a is not None]
    numbers = "; ".join(
        f"{name} {', '.join('never' if step is None else f'{step:g}' for step in steps_by_seed)}"
        for name, steps_by_seed in steps.items()
    )
    sooner = len(ahead) == len(pairs) and all(ahead)
    return Claim(
        "tIoU + mvIoU converges faster than mvIoU alone",
        "sections 4.2, 5.1",
        CONFIRMED if sooner else NOT_CONFIRMED,
        f"steps to a training m_vIoU of {score:.3f}, by seed: {numbers}",
        ""
        if sooner
        else "not sooner in every seed; the next point says whether there was anything to be denser about",
    )


def weak_signal(empty: Mapping[str, float], silent: Mapping[str, float], floor: float = 0.2) -> Claim:
    """Judge the claim of section 5.1 that mvIoU by itself gives a weak signal early, because windows miss the event.

    Args:
        empty: reward -> share of rollouts whose span misses the event, early in training.
        silent: reward -> share of groups whose rewards do not vary, early in training.
        floor: below this share of misses there is no such phase to look at.
    """
    numbers = (
        f"early in training with mvIoU alone {100 * empty['mviou']:.1f} % of the spans miss the event (with tIoU + "
        f"mvIoU {100 * empty['tiou_mviou']:.1f} %), groups without a signal {100 * silent['mviou']:.1f} % "
        f"({100 * silent['tiou_mviou']:.1f} %)"
    )
    text, where = "mvIoU alone gives a weak signal early, because its reward is 0 while windows miss", "section 5.1"
    if empty["mviou"] < floor:
        why = (
            "the premise does not occur: events fill much of these short clips, and after SFT nearly every span meets "
            "its event"
        )
        return Claim(text, where, NOT_TESTABLE, numbers, why)
    weak = silent["mviou"] > silent["tiou_mviou"]
    return Claim(text, where, CONFIRMED if weak else NOT_CONFIRMED, numbers, "" if weak else "groups vary as often")


def best_rate(scores: Mapping[str, Sequence[float]], hota: Mapping[str, float], rate: str = "1") -> Claim:
    """Judge the claim of section 4.3 that one frame a second is the best training rate.

    Args:
        scores: rate -> vIoU by scene.
    """
    others = {name: difference([values], [scores[rate]]) for name, values in scores.items() if name != rate}
    behind = [name for name, gain in others.items() if not gain.above]
    numbers = "; ".join(f"over {name}: {gain}" for name, gain in others.items())
    return Claim(
        "1 FPS is the best training rate",
        "section 4.3, figure 3",
        NOT_CONFIRMED if behind or max(hota, key=lambda name: hota[name]) != rate else CONFIRMED,
        f"m_vIoU {numbers}; HOTA " + ", ".join(f"{name} {value:.3f}" for name, value in hota.items()),
        (f"not above {', '.join(behind)}. " if behind else "")
        + "One training each, the same number of steps, from a CPT checkpoint that had seen 1 FPS only, and true "
        "boxes that are those of the middle of each second: all of that favours 1 FPS",
    )


def kept(
    cpt: float,
    plain: tuple[float, float],
    sft: Sequence[float],
    rl: Sequence[Sequence[float]],
    floor: float,
    margin: float = 0.05,
) -> Claim:
    """Judge, on questions about shapes, the claim of section 4.2 that RL does not cost general understanding.

    Args:
        cpt: accuracy after CPT.
        plain: accuracy of SFT and of its RL where SFT has grounding data alone.
        sft, rl: right (1) or wrong (0) by question where SFT has questions too; of RL a list a seed.
        floor: accuracy of always naming a topic's most frequent answer.
        margin: a loss that counts as none.
    """
    change, before = difference([sft], rl), sum(sft) / len(sft)
    numbers = (
        f"right answers: CPT {cpt:.3f}; SFT on grounding alone {plain[0]:.3f}, its RL {plain[1]:.3f}; SFT with "
        f"questions {before:.3f}, its RL {before + change.mean:.3f}, the difference {change}; floor {floor:.3f}"
    )
    text, where = "general understanding survives RL on grounding", "section 4.2, figure 3"
    if before <= floor:
        return Claim(
            text, where, NOT_TESTABLE, numbers, "SFT had left nothing to lose, with questions among its data too"
        )
    lost = (
        "SFT on grounding alone unlearns the questions of CPT: it answers them with tracks. "
        if plain[0] < floor
        else ""
    )
    fine = change.low > -margin
    why = (
        f"Where SFT keeps them, RL on grounding loses less than {margin} (95 %). The paper's own claim is another: a "
        "gain over the base model"
        if fine
        else f"More than {margin} may be lost: nothing in the reward holds on to answers, and there is no KL term"
    )
    return Claim(text, where, CONFIRMED if fine else NOT_CONFIRMED, numbers, lost + why)


def cheaper(cost: Mapping[str, Any]) -> Claim:
    """Judge the claim of figure 1 and section 3.7 that second-level tracks keep prompt and answer short."""
    second, frame = cost["second"], cost["frame"]
    fewer = all(second[name] < frame[name] for name in second)
    ratios = ", ".join(f"x{item['ratio']:.1f} at {item['fps']:g} frames a second" for item in cost["latency"])
    return Claim(
        "second-level tracks cost a fraction of frame-level ones",
        "figure 1, section 3.7",
        CONFIRMED if fewer else NOT_CONFIRMED,
        f"a clip at {cost['fps']:.1f} frames a second: prompt {frame['prompt_tokens']:.0f} tokens -> "
        f"{second['prompt_tokens']:.0f}, answer {frame['answer_tokens']:.0f} -> {second['answer_tokens']:.0f}; "
        f"time of an answer, frame / second: {ratios}",
        f"on frames the best second-level answer reaches m_tIoU {cost['ceiling']['m_tIoU']:.3f} and m_vIoU "
        f"{cost['ceiling']['m_vIoU']:.3f}: that is the price",
    )


def steadier(gain: Difference, temporal: float, changed: float) -> Claim:
    """Judge the claim of section 3.7 that smoothing between seconds helps and keeps the span.

    Args:
        gain: of m_vIoU, smoothing on over off.
        temporal: difference in m_tIoU.
        changed: share of answers that it changed.
    """
    return Claim(
        "smoothing between seconds improves tracks and keeps their span",
        "section 3.7",
        CONFIRMED if gain.above and temporal == 0 else NOT_CONFIRMED,
        f"m_vIoU, on over off: {gain}; m_tIoU {temporal:+.3f}; {100 * changed:.1f} % of the answers changed",
        ""
        if gain.above
        else "shapes here take a new course every second, so a jump is more often true than a slip; on smoother "
        "motion it helps (docs/smoothing.md)",
    )
