"""What differs between the model families that the recipe trains: one small table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data_prep.video.sizes import fit_frame

__all__ = ["FAMILIES", "Family", "family_of", "fit_frame", "frame_grid", "is_vision"]

# The linear layers of the language model of every family, by full name. PEFT's usual short names (q_proj,
# down_proj and the like) would also match layers of a vision tower, and miss GLM's fused gate_up_proj.
LANGUAGE_LAYERS = r".*language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate_up|gate|up|down)_proj)"


@dataclass(frozen=True)
class Family:
    """One family's conventions.

    Timestamps stand as text before each frame in all of them: Qwen2.5-VL's positions in absolute time and the time
    stamps that GLM-4.6V and Qwen3-VL write themselves exist for video inputs alone, and frames here are images.

    Attributes:
        coordinates: "thousandths" (0..1000 of width and height) or "pixels" (of the resized frame).
        image_token, video_token: stand for one merged patch in the text; their ids are the config's `image_token_id`
            and `video_token_id`.
        think: opening and closing tag of the reasoning part.
        answer: opening and closing tag of the answer part; empty where the family writes the answer bare.
        patch, merge: pixels of a patch's side, and how many patches on a side become one token, in the published
            checkpoints; a config at hand says its own (`frame_grid`).
        lora_targets: the modules that LoRA adapts by default, as a regular expression over full names.
    """

    name: str
    coordinates: str
    image_token: str
    video_token: str
    think: tuple[str, str] = ("<think>", "</think>")
    answer: tuple[str, str] = ("", "")
    patch: int = 14
    merge: int = 2
    lora_targets: str = LANGUAGE_LAYERS

    @property
    def grid(self) -> int:
        """Pixels that a frame's sides are a multiple of in the published checkpoints."""
        return self.patch * self.merge

    def box_scale(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """(scale_x, scale_y): what the model's integers are divided by to give [0, 1] of the picture."""
        return (1000, 1000) if self.coordinates == "thousandths" else frame_size


FAMILIES = {
    family.name: family
    for family in (
        Family("glm4v", "thousandths", "<|image|>", "<|video|>", answer=("<answer>", "</answer>")),
        Family("glm46v", "thousandths", "<|image|>", "<|video|>"),
        Family("qwen2_5_vl", "pixels", "<|image_pad|>", "<|video_pad|>"),
        Family("qwen3_vl", "thousandths", "<|image_pad|>", "<|video_pad|>", patch=16),
    )
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
            "Add a row to recipe/inputs/families.py with its coordinate convention and tags."
        )
    return family


def frame_grid(config: Any) -> int:
    """Pixels that a frame's sides must be a multiple of: patch size times merge size."""
    vision = config.vision_config
    return int(vision.patch_size) * int(vision.spatial_merge_size)


def is_vision(name: str) -> bool:
    """Return whether a parameter or module belongs to the vision tower, by its full name.

    >>> is_vision("model.visual.blocks.0.attn.qkv.weight"), is_vision("model.language_model.norm.weight")
    (True, False)
    """
    return ".visual." in name or name.startswith("visual.")
