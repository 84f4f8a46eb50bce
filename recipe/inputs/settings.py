"""Which settings change the result of a training stage, and which do not.

Every field of SFTConfig, GRPOConfig, ModelConfig and of this recipe's own arguments is in one of the sets below, so
that a field which an upgrade of TRL brings fails a test and never a user's run. A stage's stamp states the fields of
`COUNTS` and `LENGTHS` whose values differ from the class's defaults, what `derived` makes of those of `SPLIT`, and the
variant that those of `IN_VARIANT` make.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from data_prep.stamps import plain
from recipe.cli import whatever_the_machine
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.rewards import variant_of
from recipe.variants.names import variant_of_settings

if TYPE_CHECKING:  # seconds of imports, which pages about runs that have ended can do without
    from trl import ModelConfig

# How long is trained: more of it is a longer run of the same kind, which goes on from the last checkpoint.
LENGTHS = {"max_steps", "num_train_epochs"}

# How a batch is divided among processes and passes; what counts is the batch of all of them (see `derived`).
SPLIT = {"generation_batch_size", "gradient_accumulation_steps", "per_device_train_batch_size", "steps_per_generation"}

# What counts of them is the name of the variant that they make, however it is spelled (`recipe.variants.names`).
IN_VARIANT = {"dynamic_sampling", "format_weight", "length_weight", "reward", "reward_weights"}

# Known by content and not by name: see `recipe.training.starting.inputs_of`.
BY_CONTENT = {"frames", "model_name_or_path", "prompts", "tracks", "video_root"}

# Where it is computed, by which kernel and in which order the same sums are made; where, when and how it is logged,
# saved, evaluated or shown.
HARMLESS = {
    # this recipe's
    "cache_clips", "decode_ahead", "frozen_features", "held_out_clips", "held_out_every", "held_out_tokens",
    "max_missing", "media_clips", "overwrite_output_dir", "reasoning_share", "shared_prefix", "shared_prefix_tokens",
    "validation_tracks",
    # ScriptArguments' fields for TRL's own data sets, which the stages do not read
    "dataset_config", "dataset_name", "dataset_streaming", "dataset_test_split", "dataset_train_split",
    "ignore_bias_buffers",
    # machines, processes and kernels
    "accelerator_config", "activation_offloading", "attn_implementation", "dataloader_in_order",
    "dataloader_multiprocessing_context", "dataloader_num_workers", "dataloader_persistent_workers",
    "dataloader_pin_memory", "dataloader_prefetch_factor", "dataset_num_proc", "ddp_backend", "ddp_broadcast_buffers",
    "ddp_bucket_cap_mb", "ddp_find_unused_parameters", "ddp_static_graph", "ddp_timeout", "deepspeed",
    "ds3_gather_for_generation", "fsdp", "fsdp_config", "full_determinism", "gradient_checkpointing",
    "gradient_checkpointing_kwargs", "liger_kernel_config", "local_rank", "parallelism_config", "torch_compile",
    "torch_compile_backend", "torch_compile_mode", "torch_empty_cache_steps", "use_cache", "use_cpu",
    "use_liger_kernel", "vllm_enable_sleep_mode", "vllm_gpu_memory_utilization", "vllm_group_port", "vllm_mode",
    "vllm_model_impl", "vllm_server_base_url", "vllm_server_host", "vllm_server_port", "vllm_server_timeout",
    "vllm_tensor_parallel_size",
    # logging and sharing
    "debug", "disable_tqdm", "hub_always_push", "hub_model_id", "hub_private_repo", "hub_revision", "hub_strategy",
    "hub_token", "include_for_metrics", "include_num_input_tokens_seen", "log_completions",
    "log_completions_hub_repo", "log_level", "log_level_replica", "log_multimodal", "log_on_each_node",
    "log_unique_prompts", "logging_first_step", "logging_nan_inf_filter", "logging_steps", "logging_strategy",
    "num_completions_to_print", "project", "push_to_hub", "report_to", "run_name", "skip_memory_metrics",
    "trackio_bucket_id", "trackio_space_id", "trackio_static_space_id",
    # saving and going on
    "enable_jit_checkpoint", "output_dir", "restore_callback_states_from_checkpoint", "resume_from_checkpoint",
    "save_on_each_node", "save_only_model", "save_steps", "save_strategy", "save_total_limit",
    # evaluation during training, which chooses nothing unless load_best_model_at_end is on (that one counts)
    "batch_eval_metrics", "bf16_full_eval", "do_eval", "do_predict", "do_train", "eval_accumulation_steps",
    "eval_delay", "eval_do_concat_batches", "eval_on_start", "eval_packing", "eval_steps", "eval_strategy",
    "eval_use_gather_object", "fp16_full_eval", "num_generations_eval", "per_device_eval_batch_size",
    "prediction_loss_only",
}  # fmt: skip

COUNTS = {
    # this recipe's
    "frame_budget", "frame_rate", "max_frame_pixels", "max_records", "max_seconds", "video_units",
    "vision_learning_rate",
    # the model and its adapter
    "bnb_4bit_quant_storage", "bnb_4bit_quant_type", "dtype", "load_in_4bit", "load_in_8bit", "lora_alpha",
    "lora_dropout", "lora_modules_to_save", "lora_r", "lora_target_modules", "lora_target_parameters",
    "lora_task_type", "model_init_kwargs", "model_revision", "trust_remote_code", "use_bnb_nested_quant", "use_dora",
    "use_peft", "use_rslora",
    # optimiser, precision and order of the data
    "adam_beta1", "adam_beta2", "adam_epsilon", "auto_find_batch_size", "average_tokens_across_devices", "bf16",
    "data_seed", "dataloader_drop_last", "fp16", "greater_is_better", "ignore_data_skip", "label_names",
    "label_smoothing_factor", "learning_rate", "length_column_name", "load_best_model_at_end", "lr_scheduler_kwargs",
    "lr_scheduler_type", "max_grad_norm", "metric_for_best_model", "neftune_noise_alpha", "optim", "optim_args",
    "optim_target_modules", "remove_unused_columns", "router_aux_loss_coef", "seed", "shuffle_dataset", "tf32",
    "train_sampling_strategy", "warmup_steps", "weight_decay",
    # SFT
    "assistant_only_loss", "chat_template_path", "completion_only_loss", "dataset_kwargs", "dataset_text_field",
    "eos_token", "loss_type", "max_length", "packing", "packing_strategy", "pad_to_multiple_of", "pad_token",
    "padding_free", "truncation_mode",
    # GRPO
    "beta", "cache_implementation", "cast_lm_head_to_fp32", "chat_template_kwargs", "delta", "disable_dropout",
    "entropy_coef", "entropy_coef_delta", "entropy_coef_max", "entropy_coef_min", "entropy_target", "epsilon",
    "epsilon_high", "generation_kwargs", "importance_sampling_level", "mask_truncated_completions",
    "max_completion_length", "max_tool_calling_iterations", "min_p", "multi_objective_aggregation",
    "num_generations", "num_iterations", "off_policy_mask_threshold", "ref_model_mixup_alpha", "ref_model_sync_steps",
    "repetition_penalty", "sapo_temperature_neg", "sapo_temperature_pos", "scale_rewards",
    "sync_ref_model", "temperature", "top_entropy_quantile", "top_k", "top_p",
    "transformers_continuous_batching_config", "use_adaptive_entropy", "use_bias_correction_kl",
    "use_transformers_continuous_batching", "use_transformers_paged", "use_vllm", "vespo_k_neg", "vespo_k_pos",
    "vespo_lambda_neg", "vespo_lambda_pos", "vllm_importance_sampling_cap", "vllm_importance_sampling_clip_max",
    "vllm_importance_sampling_clip_min", "vllm_importance_sampling_correction", "vllm_importance_sampling_mode",
    "vllm_max_model_length", "vllm_structured_outputs_regex",
}  # fmt: skip

# Never written anywhere: a stamp is shown, copied and published.
SECRETS = {"hub_token", "vllm_server_base_url"}


def flat(script_args: StageArguments, training_args: Any, model_args: ModelConfig) -> dict[str, Any]:
    """Return all settings of a stage by name, as JSON gives them back, and GRPO's variant of the rewards."""
    settings = vars(script_args) | vars(model_args) | training_args.to_dict()
    if isinstance(script_args, GRPOArguments):
        settings["variant"] = variant_of(script_args, training_args).name
    return plain(settings)


@cache
def _defaults(grpo: bool) -> dict[str, Any]:
    from trl import GRPOConfig, ModelConfig, SFTConfig

    with whatever_the_machine(), _state_kept():
        training_args = (GRPOConfig if grpo else SFTConfig)(output_dir="unused")
    return flat(GRPOArguments() if grpo else StageArguments(), training_args, ModelConfig())


@contextmanager
def _state_kept() -> Iterator[None]:
    """Keep what accelerate knows of this process.

    Every new TrainingArguments resets it: with the class's defaults, two processes on CPUs would go on as two single
    ones, without barriers, and both as the main one.
    """
    from accelerate import PartialState
    from accelerate.state import AcceleratorState

    kinds = (PartialState, AcceleratorState)
    kept = [dict(kind._shared_state) for kind in kinds]
    try:
        yield
    finally:
        for kind, state in zip(kinds, kept, strict=True):
            kind._shared_state.clear()
            kind._shared_state.update(state)


def counting(settings: Mapping[str, Any], *, grpo: bool, processes: int = 1) -> dict[str, Any]:
    """Return the settings that change the result and differ from their defaults, the variant and the batch's sizes.

    Args:
        settings: all of them, as `flat` gives them or as a stamp of version 1 kept them.
        grpo: whether they are GRPO's; else SFT's.
        processes: among which a batch is divided.
    """
    defaults = _defaults(grpo)
    kept = {
        name: settings[name]
        for name in sorted(COUNTS | LENGTHS)
        if name in settings and settings[name] != defaults.get(name)
    }
    if grpo:
        kept["variant"] = variant_of_settings(settings)
    return kept | derived(settings, grpo=grpo, processes=processes)


def derived(settings: Mapping[str, Any], *, grpo: bool, processes: int) -> dict[str, int]:
    """Return the samples of an optimiser step, and those of a rollout, over all processes.

    >>> derived({"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}, grpo=False, processes=8)
    {'global_batch_size': 64}
    """
    each = int(settings.get("per_device_train_batch_size") or 1)
    accumulation = int(settings.get("gradient_accumulation_steps") or 1)
    sizes = {"global_batch_size": each * accumulation * processes}
    if grpo:
        steps = int(settings.get("steps_per_generation") or accumulation)
        sizes["rollout_size"] = each * steps * processes
    return sizes


def beside(settings: Mapping[str, Any], *, grpo: bool, processes: int) -> dict[str, Any]:
    """Return the settings that do not change the result and differ from their defaults, without secrets."""
    defaults = _defaults(grpo)
    names = (
        (HARMLESS | SPLIT | BY_CONTENT | IN_VARIANT)
        - SECRETS
        - {"output_dir", "overwrite_output_dir", "resume_from_checkpoint"}
    )
    kept = {
        name: settings[name] for name in sorted(names) if name in settings and settings[name] != defaults.get(name)
    }
    return kept | {"processes": processes}


def processes() -> int:
    """Return how many processes run this stage."""
    from accelerate import PartialState

    return int(PartialState().num_processes)
