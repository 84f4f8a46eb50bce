"""What differs between the model families that the recipe trains: one small table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data_prep.sizes import fit_frame

__all__ = ["FAMILIES", "Family", "family_of", "fit_frame", "frame_grid"]


@dataclass(frozen=True)
class Family:
    """One family's conventions.

    Attributes:
        coordinates: "thousandths" (0..1000 of width and height) or "pixels" (of the resized frame).
        image_token: the token that stands for one merged patch of an image in the text.
        think: opening and closing tag of the reasoning part.
        answer: opening and closing tag of the answer part.
        grid: pixels that a frame's sides are a multiple of in the published checkpoints (patch size x merge size), for
            served models whose config is not at hand.
    """

    name: str
    coordinates: str
    image_token: str
    think: tuple[str, str] = ("<think>", "</think>")
    answer: tuple[str, str] = ("<answer>", "</answer>")
    grid: int = 28

    def box_scale(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """(scale_x, scale_y): what the model's integers are divided by to give [0, 1] of the picture."""
        return (1000, 1000) if self.coordinates == "thousandths" else frame_size


FAMILIES = {
    "glm4v": Family("glm4v", "thousandths", "<|image|>"),
    "glm46v": Family("glm46v", "thousandths", "<|image|>"),
    "qwen2_5_vl": Family("qwen2_5_vl", "pixels", "<|image_pad|>"),
    "qwen3_vl": Family("qwen3_vl", "thousandths", "<|image_pad|>", grid=32),
}


def family_of(config: Any) -> Family:
    """The family of a transformers model config, by its `model_type`.

    Raises:
        ValueError: A model type that the table does not hold.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise ValueError(
            f"model type {config.model_type!r} is unknown here; known: {', '.join(FAMILIES)}. "
            "Add a row to recipe/families.py with its coordinate convention and tags."
        )
    return family


def frame_grid(config: Any) -> int:
    """Pixels that a frame's sides must be a multiple of: patch size times merge size."""
    vision = config.vision_config
    return int(vision.patch_size) * int(vision.spatial_merge_size)
