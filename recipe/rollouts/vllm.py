"""GRPO rollouts of an image model through vLLM: what every such run needs, with a GPU or without.

With `use_vllm` TRL 1.16 hands vLLM prompts whose image tokens are expanded already and vLLM expands them again; after
a weight sync vLLM goes on using image features of the old vision tower; both silently. `ImageGRPOTrainer` mends both.
With `video_units: pairs` the trainer scores pairs of frames as pictures, and vLLM gets the native video of the same
frames. The CPU's own fixes are in `recipe.rollouts.vllm_cpu`. vLLM is imported only where it runs, so this module
imports without it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from trl import GRPOConfig, GRPOTrainer
from trl.extras.profiling import profiling_context

from data_prep.stages import StageError
from recipe.inputs.native_video import NativeVideoProcessor, accept_native_video
from recipe.rollouts.distinct import AskedOnce
from recipe.rollouts.lora_sync import keep_base
from recipe.rollouts.media import media_of_video, media_options
from recipe.rollouts.media_files import MediaByFile

INTERLEAVED = ("qwen3_vl", "qwen3_5")  # model types whose positions transformers always interleaves


class ImageGRPOTrainer(GRPOTrainer):
    """GRPOTrainer whose vLLM rollouts see the images as the trainer does; without `use_vllm` it changes nothing.

    Overrides `_generate_single_turn` for two upstream behaviours. It can go when both are mended:

    - Colocated vLLM gets image tokens that the processor has expanded and expands each of them again
      (huggingface/trl issue 6294), so completions answer another prompt than the one that is scored. Here each image
      is one token when vLLM gets it, and the ids that come back must equal those that TRL scores. Each distinct prompt
      is asked once, for as many answers as TRL has copies of it.
    - `sync_weights` empties vLLM's prefix cache and not its encoder cache, so a picture seen before the sync keeps the
      features of the old vision tower, in colocate and in server mode.

    `__init__` passes on what GRPOConfig has no fields for (see `llm_options`), and makes the weight sync leave the
    base of a LoRA model alone (`recipe.rollouts.lora_sync`). With native video TRL's reference model takes what the
    policy does.

    Args:
        model: a loaded transformers or PEFT model; its `name_or_path` is the folder that vLLM loads.
        args: GRPOConfig; with `use_vllm`, `generation_kwargs` is given a `logit_bias` against image tokens.
        processing_class: a `NativeVideoProcessor` where the pictures are pairs of frames: vLLM gets their video.

    Raises:
        StageError: `use_vllm` where vLLM is not installed, or reads the checkpoint's config in another way.
    """

    _last_loaded_step: int  # upstream's: the step whose weights vLLM holds
    _native: NativeVideoProcessor | None = None  # where pictures are pairs of frames

    def __init__(self, *, model: Any, args: GRPOConfig, processing_class: Any = None, **kwargs: Any) -> None:
        options: dict[str, Any] = {}
        # Kept: mixins put a processor of their own in front of it while a rollout is made.
        self._native = processing_class if isinstance(processing_class, NativeVideoProcessor) else None
        video = self._native is not None
        if args.use_vllm:
            check_installed()
            check_interleaved(model.config)
            suppress_image_tokens(args, model.config)
            if args.vllm_mode == "colocate":
                options = llm_options(args, model, video=video)
        with extra_llm_options(options), client_for_device(args):
            super().__init__(model=model, args=args, processing_class=processing_class, **kwargs)
        # Trainer turns the cache off in the model's config, and a generation config that was made of such a config
        # keeps it off: each token would be computed from the whole prompt.
        if not args.use_vllm:
            self.generation_config.use_cache = True
        if video and self.ref_model is not None:  # of beta above 0: TRL loads it anew, as the checkpoint is
            accept_native_video(self.accelerator.unwrap_model(self.ref_model))
        if args.use_vllm and args.vllm_mode == "colocate":
            llm = self.vllm_generation.llm
            llm.generate = AskedOnce(llm.generate, media_of_video if video else None)
        elif args.use_vllm and self.accelerator.is_main_process:  # only there is a client
            client = self.vllm_generation.vllm_client
            client.video, client.picture_token = video, model.config.image_token_id
        if args.use_vllm:
            keep_base(self.vllm_generation)

    def _generate_single_turn(
        self,
        prompt_ids: list[list[int]],
        images: list[list[Any] | None] | None,
        multimodal_fields: dict[str, Any],
        num_generations: int,
        has_tool_images: bool = False,
    ) -> tuple[list[list[int]], list[list[float]] | None]:
        """Return completion ids and log-probabilities of one rollout for each prompt, as upstream does."""
        if self.use_vllm and self.state.global_step != self._last_loaded_step:
            with profiling_context(self, "sync_weights"):
                self.vllm_generation.sync_weights()
                self._reset_encoder_cache()
            self._last_loaded_step = self.state.global_step  # upstream's mark: it will not sync again
        if not self.use_vllm or images is None:
            result: tuple[list[list[int]], list[list[float]] | None] = super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, has_tool_images
            )
            return result
        config = self.model.config
        read, completion_ids, logprobs, _ = self.vllm_generation.generate(
            prompts=[self._unexpanded(ids) for ids in prompt_ids],
            images=images,
            num_generations=num_generations,
            profiler=profiling_context(self, "vLLM.generate"),
        )
        check_same_prompts(read, prompt_ids, config.image_token_id, config.video_token_id)
        # A list of the likeliest tokens comes back for each position; asked for 0, it holds only the sampled one.
        return completion_ids, [[ranked[0] for ranked in row] for row in logprobs]

    def _unexpanded(self, ids: list[int]) -> list[int]:
        """Return a prompt's ids as TRL's `generate` should get them."""
        if self._native is not None:
            return self._native.unexpanded(ids)
        # The client of a server collapses runs itself, where the server reads files: else it needs them as they are.
        return collapse_runs(ids, self.model.config.image_token_id) if self.vllm_mode == "colocate" else ids

    def _reset_encoder_cache(self) -> None:
        """Make vLLM forget image features that the previous weights made."""
        if self.vllm_mode == "colocate":
            self.vllm_generation.llm.llm_engine.reset_encoder_cache()
        elif self.accelerator.is_main_process:
            client = self.vllm_generation.vllm_client
            client.session.post(f"{client.base_url}/reset_encoder_cache").raise_for_status()


def check_installed() -> None:
    """Refuse vLLM with one clear line where it is requested but not installed.

    Raises:
        StageError: This environment has no vLLM.
    """
    if importlib.util.find_spec("vllm") is None:
        raise StageError(
            "vLLM is not installed in this environment, and use_vllm or --backend vllm asks for it: on a CPU `make "
            "install-vllm` makes one that has it and `make grpo VLLM=1` uses it; on a GPU `pip install vllm==0.31.0`; "
            "or leave use_vllm off, and the backend at hf"
        )


def check_interleaved(config: Any) -> None:
    """Refuse a Qwen3 config that vLLM reads in another way than transformers does.

    transformers interleaves the three parts of a position (time, height, width) in these classes whatever the config
    says; vLLM lays them side by side unless `mrope_interleaved` is there. Published checkpoints have it.

    Raises:
        StageError: It is missing, so that vLLM would sample from another model than the one that learns.
    """
    if config.model_type not in INTERLEAVED:
        return
    if not (config.get_text_config().rope_parameters or {}).get("mrope_interleaved"):
        raise StageError(
            f"use_vllm: the {config.model_type} checkpoint's config has no mrope_interleaved, so vLLM places "
            "pictures in another way than transformers does; set text_config.rope_parameters.mrope_interleaved to "
            "true in its config.json"
        )


def suppress_image_tokens(args: GRPOConfig, config: Any) -> None:
    """Keep vLLM from sampling tokens that stand for pictures, through `generation_kwargs` of the settings.

    A sampled one has no picture behind it and breaks the forward pass that scores it. TRL suppresses them for Hugging
    Face's generate only. A `logit_bias` that the settings hold already is kept beside it.
    """
    kwargs = dict(args.generation_kwargs or {})
    never = {config.image_token_id: -100.0, config.video_token_id: -100.0}
    kwargs["logit_bias"] = {**kwargs.get("logit_bias", {}), **never}
    args.generation_kwargs = kwargs


def llm_options(args: GRPOConfig, model: Any, *, video: bool = False) -> dict[str, Any]:
    """Return the options of a colocated vLLM for which GRPOConfig has no fields.

    `dtype`: what the trainer computes in. vLLM's own choice turns a float32 checkpoint into bfloat16.
    `load_format`: no pickled weights.
    Those of `recipe.rollouts.media.media_options`.

    Args:
        video: prompts hold a native video, not pictures.
    """
    from vllm.platforms import current_platform

    if args.bf16:
        dtype = "bfloat16"
    elif args.fp16:
        dtype = "float16"
    else:
        dtype = str(model.dtype).removeprefix("torch.")
    options = {"dtype": dtype, "load_format": "safetensors", **media_options(video=video)}
    if current_platform.is_cpu():
        from recipe.rollouts import vllm_cpu

        options |= vllm_cpu.prepare()
    return options


@contextmanager
def extra_llm_options(options: dict[str, Any]) -> Iterator[None]:
    """Add `options` to the arguments of the LLM that TRL makes while the body runs.

    GRPOTrainer makes it inside its constructor from settings of its own and takes no others, so the name that it calls
    is exchanged for that long. TRL's own arguments win. It can go when GRPOConfig passes engine arguments through.
    """
    if not options:
        yield
        return
    from trl.generation import vllm_generation

    upstream = vllm_generation.LLM
    vllm_generation.LLM = lambda **theirs: upstream(**(options | theirs))
    try:
        yield
    finally:
        vllm_generation.LLM = upstream


@contextmanager
def client_for_device(args: GRPOConfig) -> Iterator[None]:
    """Let TRL make this recipe's client of a server in the body: media go by file, on a CPU weights too.

    TRL calls its own class by name and takes no other.
    """
    if not (args.use_vllm and args.vllm_mode == "server"):
        yield
        return
    from trl.generation import vllm_generation

    upstream = vllm_generation.VLLMClient
    if args.use_cpu:
        from recipe.rollouts.vllm_cpu_weights import FileClient

        vllm_generation.VLLMClient = FileClient
    else:
        vllm_generation.VLLMClient = type("MediaClient", (MediaByFile, upstream), {})
    try:
        yield
    finally:
        vllm_generation.VLLMClient = upstream


def collapse_runs(ids: Sequence[int], token: int) -> list[int]:
    """Return `ids` with each run of `token` replaced by one: a picture as the chat template writes it, unexpanded.

    >>> collapse_runs([5, 9, 9, 9, 6, 9, 9, 7, 7], token=9)
    [5, 9, 6, 9, 7, 7]
    """
    return [one for index, one in enumerate(ids) if one != token or index == 0 or ids[index - 1] != token]


def check_same_prompts(read: Sequence[Sequence[int]], scored: Sequence[Sequence[int]], *media_tokens: int) -> None:
    """Compare the prompts that vLLM read with those that the trainer scores.

    Args:
        media_tokens: ids that stand for pictures or for a video.

    Raises:
        RuntimeError: They differ, so importance ratios would be nonsense: says which, where and the likely cause.
    """
    for number, (ours, theirs) in enumerate(zip(scored, read, strict=True)):
        if list(ours) == list(theirs):
            continue
        pairs = zip(ours, theirs, strict=False)
        index = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
        seen, expected = (sum(token in media_tokens for token in ids) for ids in (theirs, ours))
        raise RuntimeError(
            f"prompt {number}: vLLM read {len(theirs)} tokens ({seen} of pictures), the trainer scores {len(ours)} "
            f"({expected} of pictures); first difference at token {index}. Resize frames to multiples of patch x "
            "merge size before the trainer gets them, and let both load the same processor files"
        )
