"""Check settings that TRL and transformers refuse late, ignore, or read otherwise than their names suggest.

Versions: TRL 1.16, transformers 5.17. A refusal here costs a second; the library's own comes after the model
has loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recipe.checks.findings import Finding, refuse, warn

# Attention implementations by the packages that can provide them; transformers fetches a kernel where `kernels` is.
FLASH = {"flash_attention_2": ("flash_attn", "kernels"), "flash_attention_3": ("flash_attn_interface", "kernels")}
CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")  # the losses that clip the ratio at both epsilons (eq. 8)
SUMS = ("bnpo", "dr_grpo", "dapo", "cispo")  # the losses that sum over tokens
LEVELS = ("token", "sequence", "response")  # the last is eq. 7 as written, of recipe/training/response_ratio.py
CISPO_LEAST = 1.0  # CISPO caps the weight itself; a cap below 1 also shrinks samples that are exactly on-policy


def attention_is_there(implementation: str | None, installed: Callable[[str], bool]) -> list[Finding]:
    """Check that the package of the chosen attention is installed.

    Args:
        implementation: `attn_implementation` of ModelConfig.
        installed: tells whether a package can be imported.
    """
    packages = FLASH.get(implementation or "")
    if packages is None or any(installed(name) for name in packages):
        return []
    return [
        refuse(
            "attention",
            f"attn_implementation {implementation} needs the package {packages[0]}, which is not installed in this "
            "environment: install it, or set attn_implementation: sdpa",
        )
    ]


def rows_are_kept(training_args: Any) -> list[Finding]:
    """Check that the trainer keeps a row's columns: those of the pictures, and those that rewards read."""
    if not training_args.remove_unused_columns:
        return []
    return [
        refuse(
            "columns",
            "remove_unused_columns true drops the columns that the rows are made of and that rewards read (track, "
            "span, box_scale): set it to false",
        )
    ]


def supervised_settings(training_args: Any, installed: Callable[[str], bool]) -> list[Finding]:
    """Check the SFTConfig settings that TRL refuses or ignores for vision models, after the model has loaded.

    Args:
        training_args: SFTConfig.
        installed: tells whether a package can be imported.
    """
    findings = [
        refuse(name, f"{name} true is refused by TRL for rows with pictures: {hint}")
        for name, hint in (
            ("packing", "leave it out; train_sampling_strategy group_by_length saves padding instead"),
            ("padding_free", "leave it out, or use per_device_train_batch_size 1, which pads nothing"),
            ("assistant_only_loss", "use completion_only_loss true, which trains on the same tokens of these rows"),
        )
        if getattr(training_args, name)
    ]
    if training_args.eval_packing:
        findings.append(refuse("packing", "eval_packing true is refused by TRL for rows with pictures: leave it out"))
    if training_args.completion_only_loss is False:
        findings.append(
            warn("loss", "completion_only_loss false also trains on the prompt, image tokens included: set it to true")
        )
    if training_args.pad_to_multiple_of is not None:
        findings.append(
            refuse(
                "padding",
                f"pad_to_multiple_of {training_args.pad_to_multiple_of} is not implemented by TRL for "
                "prompt-completion rows with pictures: leave it out",
            )
        )
    if training_args.max_length is not None and training_args.truncation_mode == "keep_end":
        findings.append(
            refuse("max_length", "truncation_mode keep_end would cut image tokens: leave it out, or max_length: null")
        )
    return findings + _liger(training_args, installed)


def grpo_settings(training_args: Any, installed: Callable[[str], bool]) -> list[Finding]:
    """Check the GRPOConfig settings that TRL refuses late, or that change what is trained without a word.

    Args:
        training_args: GRPOConfig.
        installed: tells whether a package can be imported.
    """
    findings = [*_sampling(training_args), *_loss(training_args)]
    if training_args.use_transformers_continuous_batching:
        findings.append(
            refuse(
                "rollouts",
                "use_transformers_continuous_batching is refused by TRL for rows with pictures: use use_vllm true",
            )
        )
    if training_args.sync_ref_model and training_args.beta == 0:
        findings.append(
            refuse("reference", "sync_ref_model true without KL (beta 0) has no reference model: leave it out")
        )
    if training_args.eval_strategy != "no":
        findings.append(
            warn("evaluation", "eval_strategy has no effect in GRPO: set held_out_every, which answers held-out clips")
        )
    return findings + _liger(training_args, installed)


def _liger(training_args: Any, installed: Callable[[str], bool]) -> list[Finding]:
    if not training_args.use_liger_kernel:
        return []
    if not installed("liger_kernel"):
        return [refuse("liger", "use_liger_kernel true needs the package liger-kernel: install it, or leave it out")]
    if (training_args.liger_kernel_config or {}).get("fused_linear_cross_entropy"):
        return [
            refuse(
                "liger", "fused_linear_cross_entropy would replace the fused head that TRL has already: leave it out"
            )
        ]
    return [warn("liger", "use_liger_kernel replaces layers only, not the loss, and TRL 2 drops it")]


def _sampling(training_args: Any) -> list[Finding]:
    """Check that rollouts explore, and that they are drawn from the distribution whose gradient is taken."""
    if training_args.temperature <= 0:
        return [
            refuse(
                "temperature",
                f"temperature {training_args.temperature:g} makes all answers of a group the same, so nothing is "
                "learnt: set it to 1.0 (the paper's)",
            )
        ]
    cut = {
        name: value
        for name, neutral in (
            ("top_p", (1.0,)),
            ("top_k", (0, -1, None)),
            ("min_p", (None, 0.0)),
            ("repetition_penalty", (1.0,)),
        )
        if (value := getattr(training_args, name)) not in neutral
    }
    if not cut:
        return []
    listed = ", ".join(f"{name} {value:g}" for name, value in cut.items())
    text = (
        f"{listed} draws rollouts from a changed distribution, but log-probabilities are those of the whole one: "
        "leave it out"
    )
    if training_args.use_vllm and training_args.vllm_importance_sampling_correction:
        text += "; vLLM's importance ratio would be wrong for every token"
        return [refuse("sampling", text)]
    return [warn("sampling", text)]


def _loss(training_args: Any) -> list[Finding]:
    """Check that the loss reads the clipping range, its level and its bounds as the settings suggest (eq. 7 and 8)."""
    loss, level = training_args.loss_type, training_args.importance_sampling_level
    low, high = training_args.epsilon, training_args.epsilon_high
    findings = []
    if loss == "cispo" and (low if high is None else high) < CISPO_LEAST:
        cap = low if high is None else high
        findings.append(
            refuse(
                "loss",
                f"loss_type cispo caps the weight of every token at epsilon_high, and {cap:g} makes every gradient "
                f"{cap:g} of its size, on-policy ones too: set epsilon_high to 5.0, or loss_type: grpo",
            )
        )
    if loss in ("sapo", "vespo"):
        findings.append(
            warn(
                "loss",
                f"loss_type {loss} ignores epsilon {low:g} and epsilon_high"
                f"{'' if high is None else f' {high:g}'}: it has settings of its own ({loss}_*)",
            )
        )
    findings += _level(training_args)
    if loss == "luspo" and level != "sequence":
        findings.append(
            warn("loss", f"loss_type luspo is defined for importance_sampling_level sequence, and {level} is set")
        )
    if loss == "vespo" and level != "token":
        findings.append(warn("loss", f"loss_type vespo expects importance_sampling_level token, and {level} is set"))
    if (
        loss == "vespo"
        and training_args.use_vllm
        and training_args.vllm_importance_sampling_correction
        and training_args.vllm_importance_sampling_mode not in ("token_truncate", "token_mask")
    ):
        findings.append(
            refuse(
                "loss",
                f"loss_type vespo is refused with vllm_importance_sampling_mode "
                f"{training_args.vllm_importance_sampling_mode}: set token_truncate or token_mask",
            )
        )
    if level == "sequence" and loss in SUMS:
        findings.append(
            warn(
                "loss",
                f"loss_type {loss} sums over tokens, so importance_sampling_level sequence is no sequence objective "
                "there: set loss_type: grpo",
            )
        )
    if training_args.delta is not None and loss not in CLIPPED:
        findings.append(warn("loss", f"delta {training_args.delta:g} has no effect with loss_type {loss}"))
    if (
        training_args.delta is not None
        and loss in CLIPPED
        and training_args.delta < 1 + (low if high is None else high)
    ):
        findings.append(
            warn(
                "loss",
                f"delta {training_args.delta:g} lies below 1 + epsilon_high, so it cuts what the clip lets through: "
                "set it above, or leave it out",
            )
        )
    return findings


def _level(training_args: Any) -> list[Finding]:
    """Check that the level of the importance ratio is known, and that eq. 7's goes with what else is set."""
    level = training_args.importance_sampling_level
    if level not in LEVELS:
        return [refuse("loss", f"importance_sampling_level {level!r} is unknown: expected one of {', '.join(LEVELS)}")]
    if level != "response":
        return []
    hindrances = [
        text
        for text, present in (
            (f"loss_type {training_args.loss_type}, which weighs tokens", training_args.loss_type != "grpo"),
            (f"KL (beta {training_args.beta:g})", training_args.beta != 0),
            ("off_policy_mask_threshold", training_args.off_policy_mask_threshold is not None),
        )
        if present
    ]
    if not hindrances:
        return []
    return [
        refuse(
            "loss",
            f"importance_sampling_level response (eq. 7) does not go with {' and '.join(hindrances)}: set loss_type: "
            "grpo, beta: 0 and no off_policy_mask_threshold",
        )
    ]
