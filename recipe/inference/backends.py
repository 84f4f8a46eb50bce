"""Where answers come from: Hugging Face in process, vLLM in process, or any OpenAI-compatible server.

Each backend is a function from rows (`RowBuilder`) to raw answer texts, in order. The prompt is the same for all.
`recipe.inference.engines` runs the first two in processes of their own, one a GPU.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from trl import ModelConfig

from data_prep.stages import StageError
from recipe.inference.decoding import Decoding as Decoding
from recipe.inference.decoding import sampling_of, sampling_of_request
from recipe.inference.generation import generate, unexpanded_ids
from recipe.inference.guided import answer_regex
from recipe.inference.request import is_native, video_options
from recipe.inference.server import Refused as Refused
from recipe.inference.server import Server as Server
from recipe.inference.server import Unanswered
from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import RowBuilder
from recipe.inputs.families import FAMILIES, families_tokens, frame_grid
from recipe.inputs.loading import (
    builder_for,
    control_tokens,
    load_answering,
    load_config,
    load_processor,
    row_builder,
)
from recipe.inputs.native_video import NativeVideoProcessor
from recipe.inputs.video_units import PAIRS, check_pairs
from recipe.rollouts.media import media_of_video, media_options

# Rows may say how they are sampled: `seed`, of the row by itself, or `batch_seed`, of all rows of one call together.
Answerer = Callable[[list[dict[str, Any]]], list[str]]
BACKENDS = ("hf", "vllm", "openai")


def backend_named(name: str) -> str:
    """Return a backend's name, for "auto" that of vLLM where it is installed and else of Hugging Face.

    >>> backend_named("hf")
    'hf'
    """
    if name != "auto":
        return name
    return "vllm" if importlib.util.find_spec("vllm") else "hf"


@dataclass
class Usage:
    """Tokens that a server says it was asked with and answered."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, prompt_tokens: Any, completion_tokens: Any) -> None:
        """Count one answer; what is no number counts nothing."""
        self.prompt_tokens += prompt_tokens if isinstance(prompt_tokens, int) else 0
        self.completion_tokens += completion_tokens if isinstance(completion_tokens, int) else 0


def hugging_face(script_args: StageArguments, model: str, decoding: Decoding) -> tuple[RowBuilder, Answerer]:
    """Answer with a checkpoint through transformers' generate.

    Raises:
        StageError: no checkpoint there; or guided decoding, which transformers does not have.
    """
    if decoding.guided:
        raise StageError("--guided needs --backend vllm or openai: transformers has no structured outputs")
    model_args = ModelConfig(model_name_or_path=model, dtype="auto")
    loaded = load_answering(model_args, script_args)
    processor = load_processor(model_args, script_args.video_units)
    builder = row_builder(script_args, loaded, processor, completions=False)

    def answer(rows: list[dict[str, Any]]) -> list[str]:
        longest = max(decoding.longest(row) for row in rows)
        own = {"seeds": [row["seed"] for row in rows]} if decoding.temperature and "seed" in rows[0] else {}
        if "batch_seed" in rows[0]:
            torch.manual_seed(rows[0]["batch_seed"])
        return generate(loaded, processor, rows, temperature=decoding.temperature, max_new_tokens=longest, **own)

    return builder, answer


def vllm_in_process(script_args: StageArguments, model: str, decoding: Decoding) -> tuple[RowBuilder, Answerer]:
    """Answer with a checkpoint through vLLM's offline engine.

    Raises:
        StageError: vLLM is not installed here, or no checkpoint there.
    """
    from recipe.rollouts.vllm import check_installed

    check_installed()
    from vllm import LLM, SamplingParams
    from vllm.platforms import current_platform
    from vllm.sampling_params import StructuredOutputsParams

    model_args = ModelConfig(model_name_or_path=model)
    processor = load_processor(model_args, script_args.video_units)
    config = load_config(model)
    options: dict[str, Any] = {"load_format": "safetensors", **media_options(video=script_args.video_units == PAIRS)}
    options["max_model_len"] = -1  # what the memory holds: the contexts of 256K that models state fit few cards
    if current_platform.is_cpu():
        from recipe.rollouts import vllm_cpu

        options |= vllm_cpu.prepare() | {"dtype": str(config.dtype or "float32").removeprefix("torch.")}
    if decoding.guided:
        options["structured_outputs_config"] = {"backend": "xgrammar", "disable_any_whitespace": True}
    engine = LLM(model, **options)
    builder = row_builder(script_args, _Configured(config), processor, completions=False)
    never = {config.image_token_id: -100.0, config.video_token_id: -100.0}

    def answer(rows: list[dict[str, Any]]) -> list[str]:
        prompts = [vllm_prompt(processor, row) for row in rows]
        sampling = [
            SamplingParams(
                **sampling_of(decoding.temperature),
                max_tokens=decoding.longest(row),
                seed=row.get("seed") if decoding.temperature else None,
                logit_bias=never,
                structured_outputs=StructuredOutputsParams(regex=answer_regex(builder.family, row["seconds"]))
                if decoding.guided
                else None,
            )
            for row in rows
        ]
        outputs = engine.generate(prompts, sampling, use_tqdm=False)
        return [output.outputs[0].text for output in outputs]

    return builder, answer


def vllm_prompt(processor: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row's prompt as vLLM takes it: one token for each picture and these, or one for the native video."""
    video = isinstance(processor, NativeVideoProcessor)
    media = media_of_video(row["images"]) if video else {"image": row["images"]}
    return {"prompt_token_ids": unexpanded_ids(processor, row), "multi_modal_data": media}


@dataclass(frozen=True)
class _Configured:
    """What `row_builder` reads of a model that lives elsewhere."""

    config: Any


def builder_of(script_args: StageArguments, model: str) -> RowBuilder:
    """Return the row builder of a checkpoint whose model is not loaded here: its config and processor say enough.

    Raises:
        StageError: No checkpoint there.
    """
    processor = load_processor(ModelConfig(model_name_or_path=model), script_args.video_units)
    return row_builder(script_args, _Configured(load_config(model)), processor, completions=False)


def openai_server(
    script_args: StageArguments, model: str, decoding: Decoding, server: Server, usage: Usage | None = None
) -> tuple[RowBuilder, Answerer]:
    """Return the row builder and the answerer of a served model (`vllm serve`, hosted ones).

    Args:
        usage: counts the tokens of every answer, where the server states them.

    Raises:
        StageError: the client is not installed, the family is unknown; while answering: the server cannot be reached
            or refuses all requests (`Refused` where only this one got no answer); or `video_units: pairs` for a family
            that cannot take them.
    """
    try:
        from recipe.inference.served import ask
    except ImportError as error:
        raise StageError(f"--backend openai needs a library: pip install {error.name}") from None
    if server.family not in FAMILIES:
        raise StageError(f"--family {server.family!r} is unknown; known: {', '.join(FAMILIES)}")
    family = FAMILIES[server.family]
    if script_args.video_units == PAIRS:
        check_pairs(family)
    tags = families_tokens()
    grid, context = family.grid, None
    if (Path(model) / "config.json").is_file():  # served from here: its own files say what the table only assumes
        config = load_config(model)
        grid, context = frame_grid(config), config.get_text_config().max_position_embeddings
        tags += control_tokens(load_processor(ModelConfig(model_name_or_path=model)).tokenizer)
    builder = builder_for(script_args, family, grid=grid, completions=False, control_tokens=tags, context=context)
    form = server.form
    builder = replace(builder, boxes=form.boxes, timestamps=form.timestamps, files=form.files)

    def answer(rows: list[dict[str, Any]]) -> list[str]:
        return [_ask(row) for row in rows]

    def _ask(row: dict[str, Any]) -> str:
        body = sampling_of_request(decoding.temperature, openai_only=server.openai_only)
        if decoding.guided:
            pattern = answer_regex(family, row["seconds"])
            body["extra_body"] = body.get("extra_body", {}) | {"structured_outputs": {"regex": pattern}}
        if options := video_options(row):
            body["extra_body"] = body.get("extra_body", {}) | options
        body |= {
            "model": model,
            "messages": [{"role": "user", "content": form.content(row)}],
            "max_tokens": decoding.longest(row),
        }
        try:
            reply = ask(server, body)
        except Unanswered:
            raise
        except Refused as error:
            if not is_native(row):
                raise
            raise Refused(f"{error} (it was sent a video of frames; --video_units frames sends pictures)") from None
        if usage is not None:
            usage.add(reply.tokens_in, 0 if reply.estimated else reply.tokens_out)
        return reply.content or ""

    return builder, answer
