"""Settings of the stages that TRL does not have; the rest is SFTConfig's, GRPOConfig's and ModelConfig's."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import ClassVar

from trl import ScriptArguments

from data_prep.video.rates import FRAME_BUDGET
from recipe.inputs.media import MAX_MISSING
from recipe.inputs.video_units import FRAMES, rate_stated
from recipe.rewards import reward_functions
from recipe.variants.names import DEFAULT


@dataclass
class StageArguments(ScriptArguments):
    """Data and optimiser settings that CPT, SFT and GRPO share.

    Raises:
        ValueError: A setting is given that only TRL's own scripts read, such as `dataset_name`.
    """

    # A stage would pass them over in silence: they are refused, and help does not show them.
    IGNORED: ClassVar[tuple[str, ...]] = tuple(setting.name for setting in fields(ScriptArguments))

    tracks: list[str] = field(default_factory=list, metadata={"help": "track files (JSONL) to train on"})
    validation_tracks: str | None = field(
        default=None, metadata={"help": "track file for the wrong-image check after training; none: no check"}
    )
    video_root: str = field(default="data/videos", metadata={"help": "folder that the records' video paths start at"})
    prompts: str | None = field(
        default=None,
        metadata={"help": "folder of prompt templates (tiny, short, paper-contract or your own); default: one target"},
    )
    max_frame_pixels: int = field(default=448 * 448, metadata={"help": "most pixels of a resized frame"})
    video_units: str = field(
        default=FRAMES,
        metadata={
            "help": "frames: each frame is a picture with its time as text; pairs: two frames fill one grid of the "
            "family's own video format, which writes the times"
        },
    )
    frame_rate: str | None = field(
        default=None,
        metadata={
            "help": 'frames a second that the model sees, or "dynamic"; a record\'s own comes first; none: 1, with '
            "pairs 2"
        },
    )
    frame_budget: int = field(default=FRAME_BUDGET, metadata={"help": "most frames of a clip under dynamic"})
    frames: str | None = field(
        default=None, metadata={"help": "folder of shards of `data_prep frames`; none: the videos are decoded"}
    )
    cache_clips: int = field(default=64, metadata={"help": "decoded clips kept for the next fetch"})
    max_missing: float = field(
        default=MAX_MISSING,
        metadata={"help": "share of a track file's records that may be left out for want of a usable video, 0 to 1"},
    )
    max_records: int | None = field(default=None, metadata={"help": "use only the first records of each track file"})
    max_seconds: int | None = field(
        default=None, metadata={"help": "leave out records whose clips are longer than so many seconds"}
    )
    vision_learning_rate: float | None = field(
        default=None,
        metadata={"help": "peak rate of the vision tower; none: the same as learning_rate; 0: the tower is frozen"},
    )
    reasoning_share: float | None = field(
        default=None,
        metadata={
            "help": "least share, 0 to 1, of the grounding records that have reasoning, below which the stage is "
            "refused; none: 0.5 in SFT and 0 in the others"
        },
    )
    held_out_every: int = field(
        default=0,
        metadata={
            "help": "answer clips of validation_tracks greedily every so many steps and log the scores; 0: never"
        },
    )
    held_out_clips: int = field(
        default=32,
        metadata={"help": "how many of its first records are answered, and give the validation loss (eval_strategy)"},
    )
    media_clips: int = field(
        default=4,
        metadata={"help": "of how many of these the answers are drawn into pictures and kept in a table; 0: none"},
    )
    held_out_tokens: int = field(
        default=2048, metadata={"help": "most tokens of such an answer in CPT and SFT; GRPO has max_completion_length"}
    )
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "begin anew; what output_dir holds is moved aside, to output_dir.old-N"}
    )

    def __post_init__(self) -> None:
        self.frame_rate = rate_stated(self.frame_rate, self.video_units)
        if not 0 <= self.max_missing <= 1:
            raise ValueError(f"max_missing {self.max_missing!r}: expected a share from 0 to 1, such as 0.05")
        usual = ScriptArguments()
        for name in self.IGNORED:
            value = getattr(self, name)
            if value != getattr(usual, name):
                raise ValueError(
                    f"{name} is {value!r}, but only TRL's own scripts read it, no stage of this recipe; leave it out "
                    "and name track files (JSONL) with --tracks"
                )
        if self.reasoning_share is not None and not 0 <= self.reasoning_share <= 1:
            raise ValueError(f"reasoning_share {self.reasoning_share}, expected a share from 0 to 1")


@dataclass
class GRPOArguments(StageArguments):
    """StageArguments and the choice of the reward."""

    reward: list[str] = field(
        default_factory=lambda: [DEFAULT],
        metadata={
            "help": "reward functions: tiou_mviou (the paper's), mviou, viou, tiou or tiou_viou; dotted paths "
            "(stvg_rewards.scaled_tiou_reward, my_module.my_reward); path/to/file.py:function; several are summed, "
            "weighed by reward_weights"
        },
    )
    format_weight: float = field(default=0.0, metadata={"help": "weight of the reward for a well-formed answer"})
    length_weight: float = field(default=0.0, metadata={"help": "weight of the punishment of overlong answers"})
    decode_ahead: bool = field(
        default=True,
        metadata={"help": "decode the clips of the next rollout in a thread while this one updates the model"},
    )
    dynamic_sampling: int = field(
        default=0,
        metadata={
            "help": "most rounds in which groups whose rewards do not vary are replaced by other prompts' in a rollout"
        },
    )
    frozen_features: bool = field(
        default=True,
        metadata={"help": "compute the features of a vision tower that does not learn once a rollout"},
    )
    shared_prefix: bool = field(
        default=True,
        metadata={"help": "compute a prompt once for all its answers of a micro-batch, where the model allows it"},
    )
    shared_prefix_tokens: int = field(
        default=65536,
        metadata={"help": "most tokens of one forward with shared prompts; a larger micro-batch takes several"},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.reward, str):  # as YAML files may state a single one
            self.reward = [self.reward]
        if self.shared_prefix_tokens < 1:
            raise ValueError(
                f"shared_prefix_tokens {self.shared_prefix_tokens}: expected the most tokens of a forward, 1 or more"
            )
        reward_functions(self.reward)  # an unknown name fails before anything is loaded
