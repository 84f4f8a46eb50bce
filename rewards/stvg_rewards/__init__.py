"""Verifier rewards for spatio-temporal video grounding. Standard library only."""

from .formatting import format_answer, format_tracks
from .images import box_reward, generalised_box_reward, parse_box, parse_point, point_reward, stepped_box_reward
from .metrics import summarize
from .overlap import Scores, box_iou, mviou, score_answer, temporal_iou, viou
from .parsing import parse_answer, parse_tracks
from .prompts import Shown, prompt, user_message
from .prompts.box_format import BoxFormat
from .rewards import METRIC_NAMES, format_reward, mviou_reward, tiou_reward, viou_reward
from .soft import generalised_mviou_reward, scaled_tiou_reward
from .spans import interval_iou, parse_intervals
from .temporal import generalised_interval_reward, interval_reward, scaled_interval_reward
from .tracks import Answer, Box, Scale, Span, Track
from .tubes import tubes_reward, tubes_score
from .version import __version__

__all__ = [
    "METRIC_NAMES",
    "Answer",
    "Box",
    "BoxFormat",
    "Scale",
    "Scores",
    "Shown",
    "Span",
    "Track",
    "__version__",
    "box_iou",
    "box_reward",
    "format_answer",
    "format_reward",
    "format_tracks",
    "generalised_box_reward",
    "generalised_interval_reward",
    "generalised_mviou_reward",
    "interval_iou",
    "interval_reward",
    "mviou",
    "mviou_reward",
    "parse_answer",
    "parse_box",
    "parse_intervals",
    "parse_point",
    "parse_tracks",
    "point_reward",
    "prompt",
    "scaled_interval_reward",
    "scaled_tiou_reward",
    "score_answer",
    "stepped_box_reward",
    "summarize",
    "temporal_iou",
    "tiou_reward",
    "tubes_reward",
    "tubes_score",
    "user_message",
    "viou",
    "viou_reward",
]
