"""Build the tiny GLM-4.1V checkpoint offline: tokenizer, processor, chat template and random weights.

    python -m recipe.tiny --config recipe/configs/tiny/model.yaml --out runs/tiny/base

The folder is a normal Hugging Face one, loaded by AutoProcessor and AutoModelForImageTextToText, and the architecture
class is the one that the 9B model has; only the sizes differ. The tokenizer is trained on the texts of the tracks, so
its vocabulary, which sets much of the cost of a step on a CPU, holds what they hold (and every byte).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Glm4vConfig, Glm4vForConditionalGeneration, Glm4vProcessor, PreTrainedTokenizerFast
from transformers.models.glm4v.image_processing_glm4v import Glm4vImageProcessor
from transformers.models.glm4v.video_processing_glm4v import Glm4vVideoProcessor

from data_prep.events import is_temporal
from data_prep.records import read_records
from data_prep.stages import Stage
from recipe.cli import Parser, run
from recipe.inputs.dataset import completion_text
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import load_prompts, prompts_digest, question, timestamp

SPECIAL_TOKENS = [
    "<|endoftext|>",
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
    "<|image|>",
    "<|video|>",
]
# Added but not special: TRL decodes with special tokens skipped, and an answer without its tags would not parse.
TAG_TOKENS = ["<think>", "</think>", "<answer>", "</answer>"]

CHAT_TEMPLATE = """[gMASK]<sop>
{%- for message in messages -%}
<|{{ message['role'] }}|>
{%- if message['content'] is string -%}{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}<|begin_of_image|><|image|><|end_of_image|>
{%- elif part['type'] == 'video' -%}<|begin_of_video|><|video|><|end_of_video|>
{%- elif part['type'] == 'text' -%}{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- if message['role'] == 'assistant' -%}<|endoftext|>{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"""

BUILD = 1  # to be raised when the same settings give another checkpoint
_NOT_THE_MODEL = {"tracks", "prompts", "out", "overwrite_output_dir"}  # known by content, or a place


@dataclass
class TinyArguments:
    """Sizes of the tiny model; pixels, layers, heads.

    head_dim (hidden_size / heads) must be one that vLLM's CPU backend takes: 32, 64, 80, 96, 112 or 128.
    """

    tracks: list[str] = field(default_factory=list, metadata={"help": "track files whose texts train the tokenizer"})
    out: str = field(default="$RUN/base", metadata={"help": "folder of the checkpoint"})
    prompts: str = field(default="tiny", metadata={"help": "folder of prompt templates"})
    frame_side: int = field(default=48, metadata={"help": "side of a square frame, pixels"})
    patch_size: int = 12
    hidden_size: int = 128
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    intermediate_size: int = 256
    vision_hidden_size: int = 64
    vision_depth: int = 2
    vision_heads: int = 2
    initializer_range: float = field(
        default=0.06, metadata={"help": "standard deviation of the linear layers' weights"}
    )
    update_scale: float = field(
        default=0.3, metadata={"help": "RMS of what a block adds to the residual stream at start"}
    )
    digits: int = field(
        default=4,
        metadata={
            "help": "most digits of a number that are one token; 1: numbers that hardly repeat are learnt sooner"
        },
    )
    seed: int = 0
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "build anew; what out holds is moved aside, to out.old-N"}
    )

    def __post_init__(self) -> None:
        if not 1 <= self.digits <= 4:
            raise ValueError(f"digits {self.digits}, expected 1 to 4: coordinates go to 1000")


def texts_of(tracks: list[str], prompts_folder: str) -> Iterator[str]:
    """Return the texts of each record as the trainers will see them: timestamps, question and completion."""
    prompts = load_prompts(prompts_folder)
    for path in tracks:
        for record in read_records(path):
            yield from (timestamp(float(k)) for k in range(record["seconds"]))
            yield question(record, prompts)
            # Tags are single tokens by themselves and must not become part of a merge.
            if not is_temporal(record):  # whose answer nobody knows
                yield from re.split("|".join(TAG_TOKENS), completion_text(record, FAMILIES["glm4v"], (1000, 1000)))


# What is one token where the tracks hold it often enough: the text between two boxes, with its second and label; a
# number with the comma before it; a timestamp; a word. A state of the answer then costs 5 tokens, and the token
# before a box names the second whose frame the box has to be read from.
UNITS = (
    r'(?:\{|\]\}\], )"\d+": \[\{"label": "[a-z]+-\d+", "bbox_2d": \[',
    r"\]\}\]\}",
    r"\d+s\b",
    r"(?:, )?\d{1,DIGITS}",
    r" ?[a-z]+",
)


def build_tokenizer(
    texts: Iterator[str], special_tokens: Sequence[str] = SPECIAL_TOKENS, digits: int = 4
) -> PreTrainedTokenizerFast:
    """Build a byte-level BPE over the units above; the first special token ends a text and pads it.

    Args:
        digits: most digits of a number that are one token.
    """
    units = "|".join(UNITS).replace("DIGITS", str(digits))
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(units), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        min_frequency=20,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=special_tokens[0],
        pad_token=special_tokens[0],
        additional_special_tokens=list(special_tokens[1:]),
        padding_side="left",
        model_max_length=8192,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAG_TOKENS])
    return tokenizer


def build_processor(tokenizer: PreTrainedTokenizerFast, args: TinyArguments) -> Glm4vProcessor:
    """Build the family's processor; frames arrive at their final size, so its own resizing has nothing to do."""
    pixels = args.frame_side * args.frame_side
    # The image processor counts pixels over the temporal patch of two frames.
    common = {
        "size": {"shortest_edge": 2 * (2 * args.patch_size) ** 2, "longest_edge": 2 * 16 * pixels},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "patch_size": args.patch_size,
        "merge_size": 2,
        "temporal_patch_size": 2,
    }
    return Glm4vProcessor(
        image_processor=Glm4vImageProcessor(**common),
        tokenizer=tokenizer,
        video_processor=Glm4vVideoProcessor(**common),
        chat_template=CHAT_TEMPLATE,
    )


def model_config(tokenizer: PreTrainedTokenizerFast, args: TinyArguments) -> Glm4vConfig:
    """Return the configuration: GLM-4.1V's architecture with small sizes."""
    token_id = tokenizer.convert_tokens_to_ids
    head_dim = args.hidden_size // args.heads
    frequencies = head_dim // 4  # half of the head rotates (partial_rotary_factor), two dimensions a frequency
    spatial = (frequencies - max(1, frequencies // 4)) // 2
    return Glm4vConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": args.hidden_size,
            "intermediate_size": args.intermediate_size,
            "num_hidden_layers": args.layers,
            "num_attention_heads": args.heads,
            "num_key_value_heads": args.kv_heads,
            "head_dim": head_dim,
            # transformers always has the biases; vLLM follows this flag and would drop them.
            "attention_bias": True,
            "max_position_embeddings": 4096,
            "initializer_range": args.initializer_range,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": [tokenizer.eos_token_id, token_id("<|user|>")],
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
                "mrope_section": [frequencies - 2 * spatial, spatial, spatial],
            },
        },
        vision_config={
            "depth": args.vision_depth,
            "hidden_size": args.vision_hidden_size,
            "num_heads": args.vision_heads,
            "patch_size": args.patch_size,
            "image_size": args.frame_side,
            "out_hidden_size": args.hidden_size,
            "intermediate_size": args.intermediate_size,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "initializer_range": args.initializer_range,
        },
        image_token_id=token_id("<|image|>"),
        video_token_id=token_id("<|video|>"),
        image_start_token_id=token_id("<|begin_of_image|>"),
        image_end_token_id=token_id("<|end_of_image|>"),
        video_start_token_id=token_id("<|begin_of_video|>"),
        video_end_token_id=token_id("<|end_of_video|>"),
        tie_word_embeddings=False,
    )


@torch.no_grad()
def initialise(model: Glm4vForConditionalGeneration, args: TinyArguments) -> None:
    """Bring content and updates to comparable size, or the model trains blind.

    GLM's norms after each block add updates of RMS 1, which swamp embeddings and image features of RMS 0.02 after one
    layer: the model then learns the prior of the answers and never looks. Content starts at RMS 0.7, updates at
    `update_scale`.
    """
    language, visual = model.model.language_model, model.model.visual
    language.embed_tokens.weight.normal_(0, 0.7)
    for layer in language.layers:
        layer.post_self_attn_layernorm.weight.fill_(args.update_scale)
        layer.post_mlp_layernorm.weight.fill_(args.update_scale)
    visual.embeddings.position_embedding.weight.normal_(0, 0.5)
    side = args.frame_side // args.patch_size
    patches = torch.rand(32 * side * side, 3 * 2 * args.patch_size**2) * 2 - 1
    features = visual(patches, grid_thw=torch.tensor([[1, side, side]] * 32)).pooler_output
    visual.merger.down_proj.weight.mul_(0.7 / features.pow(2).mean().sqrt())


def build_model(tokenizer: PreTrainedTokenizerFast, args: TinyArguments) -> Glm4vForConditionalGeneration:
    """Build the model with seeded random weights in float32."""
    torch.manual_seed(args.seed)
    model = Glm4vForConditionalGeneration(model_config(tokenizer, args))
    initialise(model, args)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|user|>")]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def main(args: TinyArguments) -> None:
    """Build and save, unless the folder holds the same build."""
    tracks = [Path(path) for path in args.tracks]
    inputs: dict[str, str | Path | Sequence[Path]] = {"tracks": tracks, "prompts": prompts_digest(args.prompts)}
    stage = Stage(
        Path(args.out),
        "base",
        {name: value for name, value in vars(args).items() if name not in _NOT_THE_MODEL} | {"build": BUILD},
        inputs,
        beside={"tracks": args.tracks, "prompts": args.prompts},
        defaults={"build": 1, "digits": 4},
        was=lambda old: {name: value for name, value in old.items() if name not in _NOT_THE_MODEL},
        version_1_inputs=tracks,
    )
    if not args.overwrite_output_dir and stage.is_complete():
        return
    stage.begin(overwrite=args.overwrite_output_dir)
    tokenizer = build_tokenizer(texts_of(args.tracks, args.prompts), digits=args.digits)
    build_processor(tokenizer, args).save_pretrained(args.out)
    model = build_model(tokenizer, args)
    model.save_pretrained(args.out)
    stage.finish({"parameters": sum(p.numel() for p in model.parameters()), "vocabulary": len(tokenizer)})


def parse(args: list[str] | None = None) -> tuple[TinyArguments, ...]:
    """Read the settings from --config YAML and the command line (which wins); refuse an unknown key."""
    return Parser((TinyArguments,)).parse_args_and_config(args)


if __name__ == "__main__":
    run(parse, main)
