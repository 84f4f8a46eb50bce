"""Boxes at keyframes, and what a tool shows between them: straight lines, until a keyframe hides the object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Keyframes:
    """Hold one object's keyframes along a tool's own axis, such as frame numbers.

    Attributes:
        positions: (n,) float64, increasing.
        boxes: (n, 4) float64: x_min, y_min, x_max, y_max before they are turned.
        shown: (n,) bool: whether the object is visible from this keyframe on, up to the next one.
        angles: (n,) float64: degrees by which each box is turned, clockwise; None where no box is.
        about_centre: whether boxes turn about their middle (CVAT) or their upper left corner (Label Studio).
        end: position at which the last keyframe's box ends; None: it stays to the end of the video.
        closed: whether the box of a keyframe that hides the object is itself still visible (Label Studio).
        hidden: (n,) bool: keyframes whose boxes do not count although the tool shows them, with all up to the next.
    """

    positions: np.ndarray
    boxes: np.ndarray
    shown: np.ndarray
    angles: np.ndarray | None = None
    about_centre: bool = True
    end: float | None = None
    closed: bool = False
    hidden: np.ndarray | None = None

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which of the positions show the object, and its upright box at each of those.

        Args:
            positions: (m,), on the axis of the keyframes.

        Returns:
            Indices into `positions`, (k,) int64, and boxes, (k, 4).

        >>> boxes = np.array([[0.0, 0, 2, 2], [8, 0, 10, 2]])
        >>> Keyframes(np.array([0.0, 4.0]), boxes, np.array([True, False])).at(np.arange(6))
        (array([0, 1, 2, 3]), array([[0., 0., 2., 2.],
               [2., 0., 4., 2.],
               [4., 0., 6., 2.],
               [6., 0., 8., 2.]]))
        """
        before = np.searchsorted(self.positions, positions, side="right") - 1
        known = np.maximum(before, 0)
        visible = (before >= 0) & self.shown[known]
        if self.end is not None:
            visible &= positions < self.end
        if self.closed:
            visible |= (before >= 0) & (self.positions[known] == positions)
        if self.hidden is not None:
            visible &= ~self.hidden[known]
        indices = np.flatnonzero(visible)
        before = before[indices]
        after = np.minimum(before + 1, len(self.positions) - 1)
        distance = self.positions[after] - self.positions[before]
        share = np.where(
            distance > 0, (positions[indices] - self.positions[before]) / np.maximum(distance, 1e-12), 0.0
        )
        boxes = self.boxes[before] + (self.boxes[after] - self.boxes[before]) * share[:, None]
        if self.angles is not None:
            turn = (self.angles[after] - self.angles[before] + 180) % 360 - 180  # the short way round
            boxes = turned(boxes, self.angles[before] + turn * share, self.about_centre)
        return indices, boxes


def turned(boxes: np.ndarray, degrees: np.ndarray, about_centre: bool) -> np.ndarray:
    """Return the upright boxes around boxes that are turned clockwise: float64 (n, 4).

    Args:
        boxes: (n, 4), in units that are as wide as they are high.
        degrees: (n,).
        about_centre: whether they turn about their middle or their upper left corner.

    >>> turned(np.array([[0.0, 0.0, 4.0, 2.0]]), np.array([90.0]), True).round(6)
    array([[ 1., -1.,  3.,  3.]])
    """
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    pivots = (boxes[:, :2] + boxes[:, 2:]) / 2 if about_centre else boxes[:, :2]
    corners = np.stack([boxes[:, [0, 1]], boxes[:, [2, 1]], boxes[:, [2, 3]], boxes[:, [0, 3]]], 1) - pivots[:, None]
    x = corners[..., 0] * cosine[:, None] - corners[..., 1] * sine[:, None] + pivots[:, None, 0]
    y = corners[..., 0] * sine[:, None] + corners[..., 1] * cosine[:, None] + pivots[:, None, 1]
    return np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], 1)


def joined(positions: np.ndarray, boxes: np.ndarray, longest: float) -> Keyframes:
    """Return boxes at single positions as keyframes that are joined wherever they are at most `longest` apart.

    >>> joined(np.array([0.0, 2.0, 9.0]), np.zeros((3, 4)), 3).at(np.arange(12.0))[0]
    array([0, 1, 2, 9])
    """
    gaps = np.diff(positions, append=np.inf)
    return Keyframes(positions, boxes, gaps <= longest, closed=True)
