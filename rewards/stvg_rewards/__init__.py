"""Verifier rewards for spatio-temporal video grounding. Standard library only."""

from .formatting import format_answer, format_tracks
from .metrics import summarize
from .overlap import Scores, box_iou, mviou, score_answer, temporal_iou, viou
from .parsing import parse_answer, parse_tracks
from .rewards import METRIC_NAMES, format_reward, mviou_reward, tiou_reward, viou_reward
from .tracks import Answer, Box, Scale, Span, Track
from .version import __version__

__all__ = [
    "METRIC_NAMES",
    "Answer",
    "Box",
    "Scale",
    "Scores",
    "Span",
    "Track",
    "__version__",
    "box_iou",
    "format_answer",
    "format_reward",
    "format_tracks",
    "mviou",
    "mviou_reward",
    "parse_answer",
    "parse_tracks",
    "score_answer",
    "summarize",
    "temporal_iou",
    "tiou_reward",
    "viou",
    "viou_reward",
]
