"""Check the records against the model: its context, the limit on answers, and the patches of its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from recipe.checks.findings import Finding, refuse, warn
from recipe.inputs.dataset import UNTAUGHT


@dataclass(frozen=True)
class Sample:
    """The number of tokens of one record as the model gets it.

    Attributes:
        id: the record's.
        seconds: of its clip.
        images, text, answer: tokens of its frames, of the rest of the prompt, and of what follows it.
    """

    id: str
    seconds: int
    images: int
    text: int
    answer: int

    @property
    def total(self) -> int:
        """Tokens of prompt and answer."""
        return self.images + self.text + self.answer


@dataclass(frozen=True)
class Volume:
    """The frames of one clip together, as a limit for whole videos counts them.

    Attributes:
        id: the record's.
        frames: how many, a last one that fills up a pair included.
        size: (width, height) of each, pixels.
    """

    id: str
    frames: int
    size: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Pixels of all frames."""
        return self.frames * self.size[0] * self.size[1]


def fits_the_context(longest: Sample | None, limits: Mapping[str, int | None]) -> list[Finding]:
    """Refuse data whose longest sample does not fit the context: its image tokens would be cut, and the step fails.

    Args:
        limits: tokens by the name of what sets them; None is no limit.
    """
    if longest is None:
        return []
    return [
        refuse(
            "context",
            f"record {longest.id} ({longest.seconds} s) takes {longest.total} tokens ({longest.images} of pictures, "
            f"{longest.text} of text, {longest.answer} for the answer), {name} is {limit}: lower max_frame_pixels or "
            "frame_rate, raise the limit, or leave such records out",
        )
        for name, limit in limits.items()
        if limit is not None and longest.total > limit
    ]


def answers_fit(lengths: Mapping[str, int], limit: int) -> list[Finding]:
    """Check that the true answers fit into a rollout: a longer one is cut, and the end of its span is lost.

    Args:
        lengths: tokens of true answers by record; a sample of the data that holds its longest.
        limit: `max_completion_length`, tokens.
    """
    over = [name for name, tokens in lengths.items() if tokens > limit]
    if not over:
        return []
    longest = max(lengths, key=lambda name: lengths[name])
    return [
        warn(
            "answers",
            f"max_completion_length {limit} cuts true answers: {len(over)} of {len(lengths)} looked at are longer; "
            f"the longest ({longest}) takes {lengths[longest]} tokens, and reasoning comes on top",
        )
    ]


def frames_are_on_the_grid(
    sizes: Iterable[tuple[int, int]], grid: int, tokens_of: Callable[[int, int], int]
) -> list[Finding]:
    """Check that the processor leaves the frames as they are: it resizes those that are off its patches or limits.

    Trainer and vLLM would then count other image tokens than the prompt holds, and pixel boxes would be of another
    picture.

    Trainer and vLLM then count other image tokens than the prompt holds, and pixel boxes are of another picture.

    Args:
        sizes: (width, height) of the frames, pixels.
        grid: patch size x merge size of the model, pixels.
        tokens_of: image tokens that the processor makes of a picture of that width and height.
    """
    for width, height in sizes:
        expected, made = (width // grid) * (height // grid), tokens_of(width, height)
        if width % grid or height % grid or made != expected:
            return [
                refuse(
                    "frames",
                    f"frames of {width} x {height} are not kept: the model's grid is {grid}, which makes {expected} "
                    f"image tokens, the processor makes {made}; check its patch_size, merge_size and size limits",
                )
            ]
    return []


def videos_keep_their_size(
    volumes: Iterable[Volume], size_kept: Callable[[int, tuple[int, int]], tuple[int, int]]
) -> list[Finding]:
    """Check that the family's own limits for a whole video leave the frames as they are, with `video_units: pairs`.

    Stages, evaluation and `recipe.ground` give the processor frames of their final size and keep it. A server that
    gets the video goes by the limits of the checkpoint's files, and then sees smaller or larger frames.

    Args:
        volumes: the smallest and the largest clip.
        size_kept: (frames, (width, height)) -> the size that the limits leave.
    """
    for volume in volumes:
        kept = size_kept(volume.frames, volume.size)
        if kept != volume.size:
            width, height = volume.size
            way = "lower max_frame_pixels or max_seconds, or " if kept < volume.size else ""
            return [
                warn(
                    "video",
                    f"record {volume.id}: {volume.frames} frames of {width} x {height} are {volume.pixels} pixels, "
                    f"which the processor's limits for a whole video (size) make frames of {kept[0]} x {kept[1]}: "
                    f"training keeps them, a server of this checkpoint would not: {way}serve it with the limits that "
                    "fit (vLLM's --mm-processor-kwargs)",
                )
            ]
    return []


def reasoning_is_there(reasoned: int, grounding: int, least: float) -> list[Finding]:
    """Refuse data with too little reasoning: think tags are left out of a row without it, and a model unlearns them.

    Args:
        reasoned: records with reasoning, of the `grounding` ones that ask for one track.
        least: share from 0 to 1 that must have it.
    """
    if not grounding or reasoned >= least * grounding:
        return []
    return [
        refuse(
            "reasoning",
            f"{reasoned} of {grounding} grounding records have reasoning, {least:.0%} expected: train on the traces "
            "that `python -m data_prep traces` makes of them, or choose plain answers with --reasoning_share 0",
        )
    ]


def answers_are_known(temporal: int, others: int) -> list[Finding]:
    """Check what a supervised stage leaves out: times without boxes are no answer that could be taught.

    Args:
        temporal: records of which only the times are known.
        others: all other records.
    """
    if not temporal:
        return []
    return [(warn if others else refuse)("temporal", f"{temporal} {UNTAUGHT}" + ("" if others else "; none is left"))]


def targets_remain(no_target: int, grounding: int) -> list[Finding]:
    """Check that most sentences have a target; else the empty answer is nearly always right, and soon the only one.

    Args:
        no_target: sentences without a target, of the `grounding` records that ask for one track.
    """
    if no_target <= grounding / 2:
        return []
    return [
        warn(
            "no_target",
            f"{no_target} of {grounding} sentences have no target: a model that always answers {{}} is right in "
            f"{no_target / grounding:.0%}; give more sentences that have one",
        )
    ]


def every_row_has_an_image(images: Mapping[str, int], zero_stage: int) -> list[Finding]:
    """Check for rows without images under ZeRO-3, which would hang: all processes must meet in the vision tower.

    Args:
        images: frames by record.
        zero_stage: DeepSpeed's, 0 without.
    """
    without = [name for name, count in images.items() if count == 0]
    if not without or zero_stage != 3:
        return []
    return [
        refuse(
            "images",
            f"{len(without)} records have no frame ({', '.join(without[:3])}): batches with and without images hang "
            "ZeRO-3; leave them out or use launch/accelerate/zero2.yaml",
        )
    ]


def videos_are_usable(where: str, lost: int, count: int, text: str, max_missing: float) -> list[Finding]:
    """Check that the records have videos that open and fit them: those without are left out, and few may be.

    Args:
        where: the track file.
        lost, count: records without a usable video, and all.
        text: what is lost and why.
        max_missing: share that may be lost, 0 to 1.
    """
    if not lost:
        return []
    if lost == count or lost > max_missing * count:
        return [refuse("videos", f"{where}: {text}; expected at most {max_missing:.0%} (max_missing)")]
    return [warn("videos", f"{where}: {text}; they are left out")]


def batches_are_even(samples: int, num_generations: int, records: int) -> list[Finding]:
    """Check that the records fill a rollout: TRL leaves unfilled ones out, and would silently train nothing.

    Args:
        samples: of one rollout over all processes.
    """
    if samples % num_generations:
        return [
            refuse(
                "batch",
                f"a rollout of {samples} samples over all processes is no multiple of num_generations "
                f"{num_generations}",
            )
        ]
    if not records:
        return [refuse("batch", "no record is left to train on; what took them away stands above")]
    if records * num_generations < samples:
        return [
            refuse(
                "batch",
                f"{records} records, but a rollout of {samples} samples takes {samples // num_generations} prompts "
                f"with {num_generations} samples each: give more records, or lower per_device_train_batch_size or "
                "steps_per_generation",
            )
        ]
    return []
