"""What differs between the model families that the recipe trains: one small table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data_prep.video.sizes import fit_frame

__all__ = ["FAMILIES", "Family", "families_tokens", "family_of", "fit_frame", "frame_grid", "is_vision"]

# The linear layers of the language model of every family, by full name. PEFT's usual short names (q_proj,
# down_proj and the like) would also match layers of a vision tower, and miss GLM's fused gate_up_proj.
LANGUAGE_LAYERS = r".*language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate_up|gate|up|down)_proj)"

# The added vocabulary of the published tokenizers, which they cut out of any text as tokens, and the tags that
# answers are parsed by.
GLM_TOKENS = (
    *("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>"),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("<|begin_of_image|>", "<|end_of_image|>", "<|image|>"),
    *("<|begin_of_video|>", "<|end_of_video|>", "<|video|>"),
    *("<|begin_of_audio|>", "<|end_of_audio|>", "<|begin_of_transcription|>", "<|end_of_transcription|>"),
    *("<|begin_of_box|>", "<|end_of_box|>", "<|code_prefix|>", "<|code_middle|>", "<|code_suffix|>"),
    *("<think>", "</think>", "<answer>", "</answer>", "/nothink"),
    *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
    *("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
)
QWEN_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
    *("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>"),
    *("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
    *("<think>", "</think>"),
    *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
)


@dataclass(frozen=True)
class Family:
    """One family's conventions.

    Timestamps stand as text before each frame in all of them: Qwen2.5-VL's positions in absolute time and the time
    stamps that GLM-4.6V and Qwen3-VL write themselves exist for video inputs alone, and frames here are images.

    Attributes:
        coordinates: "thousandths" (0..1000 of width and height) or "pixels" (of the resized frame).
        image_token, video_token: stand for one merged patch in the text; their ids are the config's `image_token_id`
            and `video_token_id`.
        control_tokens: the tokens that a query may not hold, in the published tokenizers.
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
    control_tokens: tuple[str, ...]
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
        Family("glm4v", "thousandths", "<|image|>", "<|video|>", GLM_TOKENS, answer=("<answer>", "</answer>")),
        Family("glm46v", "thousandths", "<|image|>", "<|video|>", GLM_TOKENS),
        Family("qwen2_5_vl", "pixels", "<|image_pad|>", "<|video_pad|>", QWEN_TOKENS),
        Family("qwen3_vl", "thousandths", "<|image_pad|>", "<|video_pad|>", QWEN_TOKENS, patch=16),
    )
}


def families_tokens() -> tuple[str, ...]:
    """Return the control tokens of all families together, for a model whose tokenizer is not at hand.

    All of them, because nothing but the user's word says which family a server's model is of. The last entry, `<|`,
    begins the tokens of this shape that no published tokenizer has and a fine-tuned one may have.
    """
    return (*sorted({token for family in FAMILIES.values() for token in family.control_tokens}), "<|")


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
