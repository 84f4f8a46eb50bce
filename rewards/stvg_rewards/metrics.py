"""Means over samples."""

import math
from collections.abc import Iterable

from .overlap import Scores


def summarize(scores: Iterable[Scores | None]) -> dict[str, float]:
    """Return m_tIoU, m_vIoU, vIoU@0.3, vIoU@0.5 (each 0 to 1) and n, the number of samples that were scored.

    Args:
        scores: one per sample, from `score_answer`. None (no true track) is skipped and not counted in n. An
            unreadable or missing prediction is no None: it has scores, all 0, and stays in every mean.

    vIoU@R is the share of samples with vIoU strictly above R. Without any sample the means are NaN.

    >>> summarize([Scores(0.5, 0.8, 0.4), Scores(1.0, 0.5, 0.5), None, Scores(0.0, 0.0, 0.0)])
    {'m_tIoU': 0.5, 'm_vIoU': 0.3, 'vIoU@0.3': 0.6666666666666666, 'vIoU@0.5': 0.0, 'n': 3}
    """
    scored = [score for score in scores if score is not None]
    n = len(scored)

    def mean(values: Iterable[float]) -> float:
        return math.fsum(values) / n if n else math.nan

    return {
        "m_tIoU": mean(score.tIoU for score in scored),
        "m_vIoU": mean(score.vIoU for score in scored),
        "vIoU@0.3": mean(score.vIoU > 0.3 for score in scored),
        "vIoU@0.5": mean(score.vIoU > 0.5 for score in scored),
        "n": n,
    }
