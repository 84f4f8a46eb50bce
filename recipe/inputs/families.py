"""What differs between the model families that the recipe trains: one small table.

A family is known by two classes of a checkpoint together, its config's and its processor's: GLM-4.1V and
GLM-4.6V-Flash have one config class, and nothing but the processor tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.video.sizes import fit_frame

__all__ = [
    "FAMILIES",
    "Family",
    "families_tokens",
    "family_of",
    "find_family",
    "fit_frame",
    "frame_grid",
    "is_vision",
    "other_attention",
]

TEMPLATES = Path(__file__).parent / "templates"

# The linear layers of the language model of every family, by full name. PEFT's usual short names (q_proj,
# down_proj and the like) would also match layers of a vision tower, and miss GLM's fused gate_up_proj.
LANGUAGE_LAYERS = r".*language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate_up|gate|up|down)_proj)"
# Of Qwen3.5 three layers of four have linear attention, whose projections have names of their own.
MIXED_LAYERS = LANGUAGE_LAYERS[:-1] + r"|linear_attn\.(in_proj_(qkv|z|b|a)|out_proj))"

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
    """One family's conventions, as its publishers trained them.

    With `video_units: frames` time stamps stand as text before each frame in all of them, as frames are images then.
    With `pairs` a clip is a native video, in which the family writes the times itself (`second`); Qwen2.5-VL has none
    there, only positions in absolute time, so it takes frames only.

    Attributes:
        config, processor: `model_type` of the config and name of the processor's class.
        coordinates: "thousandths" (0..1000 of width and height) or "pixels" (of the resized frame).
        image_token, video_token: stand for one merged patch in the text; their ids are the config's `image_token_id`
            and `video_token_id`.
        control_tokens: the tokens that a query may not hold, in the published tokenizers.
        end_tokens: the tokens that end an answer, which are in the published lists of end tokens; the first is the one
            that the chat template writes.
        positions: tokens that the published checkpoints' positions reach.
        think: opening and closing tag of the reasoning part.
        thought: the reasoning part as the family writes it, line breaks included; `{}` is the reasoning.
        answer: opening and closing tag of the answer part; empty where the family writes the answer bare.
        second: how the family's own video format writes the time of a frame: `{whole}` is the second as a whole
            number, `{time}` the time in seconds; empty where it writes none.
        patch, merge, temporal_patch: pixels of a patch's side, how many patches on a side become one token, and how
            many frames of a video share one patch, in the published checkpoints; a config at hand says its own
            (`frame_grid`).
        lora_targets: the modules that LoRA adapts by default, as a regular expression over full names.
        sampling: what the publishers recommend to sample with; empty where they say nothing. Nothing here samples so
            by itself.
    """

    name: str
    config: str
    processor: str
    coordinates: str
    image_token: str
    video_token: str
    control_tokens: tuple[str, ...]
    end_tokens: tuple[str, ...]
    positions: int
    think: tuple[str, str] = ("<think>", "</think>")
    thought: str = "<think>{}</think>"
    answer: tuple[str, str] = ("", "")
    second: str = ""
    patch: int = 14
    merge: int = 2
    temporal_patch: int = 2
    lora_targets: str = LANGUAGE_LAYERS
    sampling: Mapping[str, float] = field(default_factory=dict)

    @property
    def grid(self) -> int:
        """Pixels that a frame's sides are a multiple of in the published checkpoints."""
        return self.patch * self.merge

    @property
    def template_file(self) -> Path | None:
        """The chat template that takes the place of the published one where that cannot train; None: none does."""
        path = TEMPLATES / f"{self.name}.jinja"
        return path if path.is_file() else None

    def box_scale(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """Return (scale_x, scale_y): what the model's integers are divided by to give [0, 1] of the picture."""
        return (1000, 1000) if self.coordinates == "thousandths" else frame_size

    def written(self, reasoning: str, answer: str) -> str:
        """Return a completion: the reasoning part, left out where there is no reasoning, and the answer in its tags.

        >>> FAMILIES["glm46v"].written("It enters late.", "{}"), FAMILIES["glm4v"].written("", "{}")
        ('<think>It enters late.</think>\\n{}', '<answer>{}</answer>')
        """
        thought = self.thought.replace("{}", reasoning) if reasoning else ""
        return f"{thought}{self.answer[0]}{answer}{self.answer[1]}"


GLM_ENDS = ("<|user|>", "<|endoftext|>", "<|observation|>")
QWEN_ENDS = ("<|im_end|>", "<|endoftext|>")
GLM_SAMPLING = {"temperature": 0.8, "top_p": 0.6, "top_k": 2, "repetition_penalty": 1.1}

FAMILIES = {
    family.name: family
    for family in (
        # GLM-4.1V-9B-Thinking, and -Base, which has no chat template of its own.
        Family(
            *("glm4v", "glm4v", "Glm4vProcessor", "thousandths", "<|image|>", "<|video|>", GLM_TOKENS, GLM_ENDS),
            positions=65_536,
            answer=("<answer>", "</answer>"),
            second="{whole}",
            sampling=GLM_SAMPLING,
        ),
        # GLM-4.6V-Flash.
        Family(
            *("glm46v", "glm4v", "Glm46VProcessor", "thousandths", "<|image|>", "<|video|>", GLM_TOKENS, GLM_ENDS),
            positions=131_072,
            thought="<think>{}</think>\n",
            second="{time:.1f} seconds",
            sampling=GLM_SAMPLING,
        ),
        # GLM-GA: the model and processor of GLM-4.6V with a config class of its own.
        Family(
            *("glmga", "glmga", "Glm46VProcessor", "thousandths", "<|image|>", "<|video|>", GLM_TOKENS, GLM_ENDS),
            positions=131_072,
            thought="<think>{}</think>\n",
            second="{time:.1f} seconds",
        ),
        Family(
            *("qwen2_5_vl", "qwen2_5_vl", "Qwen2_5_VLProcessor", "pixels", "<|image_pad|>", "<|video_pad|>"),
            *(QWEN_TOKENS, QWEN_ENDS),
            positions=128_000,
            sampling={"temperature": 1e-6, "repetition_penalty": 1.05},
        ),
        Family(
            *("qwen3_vl", "qwen3_vl", "Qwen3VLProcessor", "thousandths", "<|image_pad|>", "<|video_pad|>"),
            *(QWEN_TOKENS, QWEN_ENDS),
            positions=262_144,
            second="<{time:.1f} seconds>",
            patch=16,
            sampling={"temperature": 0.7, "top_p": 0.8, "top_k": 20, "presence_penalty": 1.5},
        ),
        Family(
            *("qwen3_5", "qwen3_5", "Qwen3VLProcessor", "thousandths", "<|image_pad|>", "<|video_pad|>"),
            *(QWEN_TOKENS, QWEN_ENDS),
            positions=262_144,
            thought="<think>\n{}\n</think>\n\n",
            second="<{time:.1f} seconds>",
            patch=16,
            lora_targets=MIXED_LAYERS,
            sampling={"temperature": 1.0, "top_p": 0.95, "top_k": 20, "presence_penalty": 1.5},
        ),
    )
}


def families_tokens() -> tuple[str, ...]:
    """Return the control tokens of all families together, for a model whose tokenizer is not at hand.

    All of them, because nothing but the user's word says which family a server's model is of. The last entry, `<|`,
    begins the tokens of this shape that no published tokenizer has and a fine-tuned one may have.
    """
    return (*sorted({token for family in FAMILIES.values() for token in family.control_tokens}), "<|")


def find_family(config: Any, processor: Any) -> Family | None:
    """Return the family of a config and a processor, or None where the table has no such pair."""
    # A processor that wraps the family's own (recipe.inputs.native_video) is of that family.
    names = config.model_type, type(getattr(processor, "stock", processor)).__name__
    return next((family for family in FAMILIES.values() if (family.config, family.processor) == names), None)


def family_of(config: Any, processor: Any) -> Family:
    """Return the family of a checkpoint by its config's `model_type` and its processor's class.

    Raises:
        ValueError: A pair that the table does not hold.
    """
    family = find_family(config, processor)
    if family is None:
        known = ", ".join(f"{row.config} with {row.processor}" for row in FAMILIES.values())
        raise ValueError(
            f"model type {config.model_type!r} with a {type(processor).__name__} is unknown here; known: {known}. "
            "Add a row to recipe/inputs/families.py with its coordinate convention and tags."
        )
    return family


def frame_grid(config: Any) -> int:
    """Return the number of pixels that a frame's sides must be a multiple of: patch size times merge size."""
    vision = config.vision_config
    return int(vision.patch_size) * int(vision.spatial_merge_size)


def is_vision(name: str) -> bool:
    """Return whether a parameter or module belongs to the vision tower, by its full name.

    >>> is_vision("model.visual.blocks.0.attn.qkv.weight"), is_vision("model.language_model.norm.weight")
    (True, False)
    """
    return ".visual." in name or name.startswith("visual.")


def other_attention(language_config: Any) -> list[str]:
    """Return the kinds of a language model's layers in which a token does not see all before it, by their names.

    Qwen3.5's `linear_attention` is one, and a sliding window another: there a row cannot hold a prompt once for
    several answers.
    """
    return sorted(set(getattr(language_config, "layer_types", None) or ()) - {"full_attention"})
