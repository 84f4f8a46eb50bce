"""Run all checks of a stage before a GPU-hour is spent: plain values go to the functions beside this file.

A finding is one line: a refusal stops the stage, a warning does not.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from trl import ModelConfig

from data_prep.events import is_temporal
from data_prep.records import Record
from data_prep.stages import StageError
from recipe.checks.capacity import memory_suffices
from recipe.checks.checkpoint import checkpoint_of
from recipe.checks.data import (
    Sample,
    answers_are_known,
    answers_fit,
    batches_are_even,
    every_row_has_an_image,
    fits_the_context,
    frames_are_on_the_grid,
    reasoning_is_there,
    targets_remain,
    videos_are_usable,
    videos_keep_their_size,
)
from recipe.checks.earnings import events_leave_room, rewards_can_be_earned, times_can_be_earned
from recipe.checks.facts import Facts, Texts, read_facts, starts_of
from recipe.checks.findings import Finding, refuse
from recipe.checks.labels import end_ids, labels_are_the_completion, prompts_are_the_same, rows_taught
from recipe.checks.launches import Launch, this_launch
from recipe.checks.loads import load_of
from recipe.checks.machine import (
    data_is_there,
    deepspeed_is_there,
    disk_gib,
    disk_suffices,
    gpu_is_there,
    updates_are_kept,
    vllm_is_there,
    weights_are_there,
)
from recipe.checks.memory import Load
from recipe.checks.model import lora_covers_the_language_model, tags_survive
from recipe.checks.native_video import size_kept
from recipe.checks.settings import (
    clip_acts,
    groups_can_be_replaced,
    image_tokens_are_suppressed,
    packing_fits,
    rewards_fit,
    rollouts_are_whole,
    runs_no_foreign_code,
)
from recipe.checks.trl_settings import attention_is_there, grpo_settings, rows_are_kept, supervised_settings
from recipe.checks.weights import linear_layers, model_without_memory
from recipe.inputs.arguments import GRPOArguments, StageArguments
from recipe.inputs.families import family_of, frame_grid
from recipe.inputs.frames import ClipFrames
from recipe.inputs.loading import clips_of
from recipe.inputs.media import VALIDATED, sift_file
from recipe.inputs.video_units import PAIRS, pairs_problem
from recipe.rewards import variant_of
from recipe.rollouts.vllm import suppress_image_tokens

REASONING = {"sft": 0.5}  # least share of grounding records with reasoning where `reasoning_share` says none


def check(
    script_args: StageArguments, training_args: Any, model_args: ModelConfig, launch: Launch, name: str | None = None
) -> tuple[list[Finding], Load | None]:
    """Return all findings about a stage, and what memory and disk were estimated from (None without a checkpoint).

    Args:
        name: "cpt", "sft" or "grpo"; None: not known.
    """
    grpo = isinstance(script_args, GRPOArguments)
    use_vllm = bool(grpo and training_args.use_vllm)
    validated = not grpo or script_args.held_out_every  # else GRPO never reads them
    findings = data_is_there(
        script_args.tracks,
        script_args.frames or script_args.video_root,
        script_args.validation_tracks if validated else None,
    )
    data = not findings
    findings += gpu_is_there(
        training_args.use_cpu, torch.accelerator.device_count() if torch.accelerator.is_available() else 0
    )
    findings += vllm_is_there(use_vllm, importlib.util.find_spec("vllm") is not None)
    findings += deepspeed_is_there(launch.zero_stage, installed("deepspeed"))
    findings += packing_fits(model_args, launch.sharding, use_vllm, installed)
    findings += runs_no_foreign_code(training_args.trust_remote_code)
    findings += attention_is_there(model_args.attn_implementation, installed)
    findings += rows_are_kept(training_args)
    findings += (grpo_settings if grpo else supervised_settings)(training_args, installed)
    if grpo:
        findings += _rollout_findings(script_args, training_args)
    config, processor, problem = checkpoint_of(
        model_args, getattr(training_args, "chat_template_path", None), script_args.video_units
    )
    findings += weights_are_there(model_args.model_name_or_path, problem)
    if problem:
        return findings, None
    try:
        family = family_of(config, processor)
    except ValueError as error:
        return [*findings, refuse("family", str(error))], None
    if script_args.video_units == PAIRS and (problem := pairs_problem(family)):
        return [*findings, refuse("video_units", problem)], None
    model = model_without_memory(config)
    if use_vllm:
        settings = copy(training_args)
        suppress_image_tokens(settings, config)
        ids = {
            name: processor.tokenizer.convert_tokens_to_ids(name) for name in (family.image_token, family.video_token)
        }
        findings += image_tokens_are_suppressed(settings.generation_kwargs, ids)
    if model_args.use_peft:
        targets = model_args.lora_target_modules or family.lora_targets
        findings += lora_covers_the_language_model(list(linear_layers(model)), targets)
    longest = None
    if data:
        checkpoint = str(model_args.model_name_or_path)
        facts = read_facts(script_args, frame_grid(config))
        findings += _reasoning_findings(facts, script_args, name)
        found, longest = _data_findings(script_args, training_args, checkpoint, config, processor, launch, facts)
        findings += found
    load = load_of(
        config,
        training_args,
        model_args,
        launch,
        prompt=longest.images + longest.text if longest else 0,
        answer=longest.answer if longest else 0,
        patches=longest.images * config.vision_config.spatial_merge_size**2 if longest else 0,
        frozen_vision=script_args.vision_learning_rate == 0,
        on_cpu=training_args.use_cpu,
        model=model,
        family_targets=family.lora_targets,
        shared_prefix=isinstance(script_args, GRPOArguments) and script_args.shared_prefix,
    )
    findings += updates_are_kept(load.each, load.sharding, model_args.use_peft)
    findings += memory_suffices(load, launch.gpu_gib or (None if training_args.use_cpu else card_gib()))
    findings += disk_suffices(disk_of(load, training_args), *_room(Path(training_args.output_dir)))
    return findings, load


def installed(package: str) -> bool:
    """Return whether a package can be imported in this environment."""
    return importlib.util.find_spec(package) is not None


def _rollout_findings(script_args: GRPOArguments, training_args: Any) -> list[Finding]:
    samples = training_args.per_device_train_batch_size * training_args.steps_per_generation
    return [
        *clip_acts(
            training_args.steps_per_generation, training_args.num_iterations, training_args.gradient_accumulation_steps
        ),
        *rollouts_are_whole(training_args),
        *rewards_fit(
            script_args.reward,
            training_args.reward_weights,
            script_args.format_weight,
            script_args.length_weight,
        ),
        *groups_can_be_replaced(
            samples,
            training_args.num_generations,
            str(training_args.scale_rewards),
            training_args.multi_objective_aggregation,
            script_args.dynamic_sampling,
        ),
    ]


def _reasoning_findings(facts: Facts, script_args: StageArguments, name: str | None) -> list[Finding]:
    """Count the rows with reasoning, say so where the model is taught them, and refuse too few."""
    if facts.grounding and not isinstance(script_args, GRPOArguments):
        share = facts.reasoned / facts.grounding
        said = f"{facts.reasoned} of {facts.grounding} grounding records have reasoning ({share:.0%})"
        print(f"preflight: {said}", file=sys.stderr)
    stated = script_args.reasoning_share
    least = REASONING.get(name or "", 0.0) if stated is None else stated
    found = [] if isinstance(script_args, GRPOArguments) else answers_are_known(facts.temporal, facts.count)
    found += targets_remain(facts.no_target, facts.grounding)
    return [*found, *reasoning_is_there(facts.reasoned, facts.grounding, least)]


def _data_findings(
    script_args: StageArguments,
    training_args: Any,
    name: str,
    config: Any,
    processor: Any,
    launch: Launch,
    facts: Facts,
) -> tuple[list[Finding], Sample | None]:
    """Return the findings about the records, and the longest sample."""
    family, grid = family_of(config, processor), frame_grid(config)
    texts = Texts(script_args, family, grid, processor)
    grpo = isinstance(script_args, GRPOArguments)
    answer = training_args.max_completion_length if grpo else None
    measured = [texts.measure(record, answer) for _, _, record in facts.longest]
    longest = max(measured, key=lambda sample: sample.total, default=None)
    limits = {"the model's context (max_position_embeddings)": config.get_text_config().max_position_embeddings}
    if grpo:
        limits["vllm_max_model_length"] = training_args.vllm_max_model_length if training_args.use_vllm else None
    else:
        limits["max_length"] = training_args.max_length
    found, lost = _video_findings(script_args, clips_of(script_args, grid, training=not grpo))
    findings = found + fits_the_context(longest, limits)
    native = processor if script_args.video_units == PAIRS else None
    findings += frames_are_on_the_grid(sorted(facts.sizes), grid, lambda *size: tokens_of(processor, size, native))
    if native:
        findings += videos_keep_their_size(facts.volumes, partial(size_kept, native))
    findings += every_row_has_an_image(facts.frames, launch.zero_stage)
    if grpo:
        answers = {record["id"]: record for record in facts.sample + [record for _, _, record in facts.wordiest]}
        lengths = {name: texts.answer_tokens(record) for name, record in answers.items()}
        findings += answers_fit(lengths, training_args.max_completion_length)
        samples = training_args.per_device_train_batch_size * training_args.steps_per_generation * launch.processes
        findings += batches_are_even(samples, training_args.num_generations, facts.count - lost)
        variant = variant_of(script_args, training_args)
        findings += rewards_can_be_earned(variant, facts.sample, facts.count, texts.answer)
        findings += times_can_be_earned(variant, facts.sample, facts.temporal, texts.answer)
        findings += events_leave_room(facts.sample, [function.__name__ for function in variant.functions])
    if facts.longest:
        record = facts.longest[-1][2]
        completion = texts.completion(record)
        tags = [tag for tag in (*family.think, *family.answer) if tag and tag in completion]
        findings += tags_survive(
            tags,
            placeholder := family.video_token if native else family.image_token,
            {name: texts.count(name) for name in (*tags, placeholder)},
            processor.tokenizer.all_special_tokens,
            texts.rendered(record, completion=True),
            1 if native else len(starts_of(record, script_args)),
        )
    ends, token = end_ids(name, config), config.image_token_id
    wrong: list[Finding] = []
    for row in rows_taught(script_args, training_args, facts.kinds, config, processor):
        wrong += labels_are_the_completion(row, ends, processor.tokenizer.decode)
        collapsed = native.unexpanded(row.sent) if native else None
        wrong += prompts_are_the_same(row, token, processor.tokenizer.decode, collapsed)
    findings += {finding.topic: finding for finding in reversed(wrong)}.values()  # the first of each
    return findings, longest


def tokens_of(processor: Any, size: tuple[int, int], native: Any) -> int:
    """Return the tokens that a processor makes of a picture of (width, height) pixels.

    Args:
        native: the processor where pictures are pairs, whose size it keeps; else None.
    """
    width, height = size
    part = native.video_processor if native else processor.image_processor
    if native:
        return int((width // part.patch_size) * (height // part.patch_size)) // int(part.merge_size**2)
    return int(part.get_number_of_image_patches(height, width, {})) // int(part.merge_size**2)


def card_gib() -> float | None:
    """Return the memory of the first GPU, GiB; None where there is none."""
    return torch.cuda.get_device_properties(0).total_memory / 2**30 if torch.cuda.is_available() else None


def _video_findings(script_args: StageArguments, clips: ClipFrames) -> tuple[list[Finding], int]:
    """Return findings about the videos that the stage will need, and how many training records have none."""
    grpo = isinstance(script_args, GRPOArguments)
    wanted: list[tuple[str, int | None]] = [(path, script_args.max_records) for path in script_args.tracks]
    if script_args.validation_tracks:
        if not grpo:
            wanted.append((script_args.validation_tracks, VALIDATED))
        elif script_args.held_out_every:
            wanted.append((script_args.validation_tracks, script_args.held_out_clips))
    findings, lost = [], 0
    for number, (path, limit) in enumerate(wanted):
        found = sift_file(path, clips, limit=limit, wanted=None if grpo else has_an_answer)
        lost += found.lost_count if number < len(script_args.tracks) else 0
        findings += videos_are_usable(path, found.lost_count, found.count, found.text, script_args.max_missing)
    return findings, lost


def has_an_answer(record: Record) -> bool:
    """Return whether a supervised stage can teach a record."""
    return not is_temporal(record)


def _room(output_dir: Path) -> tuple[float, str]:
    """Return (GiB that a stage can use, where): the free space, and what its earlier checkpoints and model take up.

    Those are written over or removed as it goes on, so a run that fits the disk also fits when it is resumed.
    """
    own = sum(path.stat().st_size for path in output_dir.glob("checkpoint-*/**/*") if path.is_file())
    own += sum(path.stat().st_size for path in output_dir.glob("*.safetensors"))
    folder = output_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    return (shutil.disk_usage(folder).free + own) / 2**30, str(folder)


def disk_of(load: Load, training_args: Any) -> float:
    if training_args.save_strategy == "no":
        return disk_gib(load, -1, True)
    return disk_gib(load, training_args.save_total_limit or 10, training_args.save_only_model)


def begin(script_args: StageArguments, training_args: Any, model_args: ModelConfig, name: str | None = None) -> None:
    """Run the checks at the start of a stage, on the main process before the others go on.

    Raises:
        StageError: Something is refused.
    """
    state = PartialState()
    with state.main_process_first():
        if state.is_main_process:
            findings, _ = check(script_args, training_args, model_args, this_launch(), name)
            report(findings)


def report(findings: list[Finding]) -> None:
    """Print warnings, and refusals where there are several.

    Raises:
        StageError: Something is refused.
    """
    refused = [finding for finding in findings if finding.refused]
    for finding in findings:
        if not finding.refused or len(refused) > 1:
            print(f"preflight: {finding}", file=sys.stderr)
    if len(refused) == 1:
        raise StageError(f"{refused[0].topic}: {refused[0].text}")
    if refused:
        topics = ", ".join(dict.fromkeys(finding.topic for finding in refused))
        raise StageError(f"not begun, preflight refused {len(refused)} points: {topics}; each has its line above")
