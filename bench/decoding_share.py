"""What decoding and processing frames take of a GRPO step of the tiny recipe: pairs of frames against still pictures.

    python -m bench.decoding_share

A random model of the tiny recipe's size and synthetic clips of 8 s in its settings: 8 prompts x 16 samples of up to 80
tokens a rollout, which two optimiser steps use. A clip is decoded once and stays among `cache_clips`; a prompt is
processed once a rollout. The data are two rollouts long (quick: one), and two epochs are measured.
Shares are of all CPU time of the process, in which the thread that decodes ahead is, too. `shared_prefix` makes the
update some three times cheaper, so the share is larger with it.
"""

from __future__ import annotations

import contextlib
import functools
import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
import torch
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, ModelConfig

from bench.table import Report, parser_of
from data_prep.__main__ import main as data_prep
from recipe.inputs.arguments import GRPOArguments
from recipe.inputs.dataset import load_mixture
from recipe.inputs.frames import ClipFrames
from recipe.inputs.loading import load_model, load_processor, row_builder
from recipe.inputs.video_units import FRAMES, PAIRS
from recipe.rewards import reward_functions
from recipe.tiny import TinyArguments
from recipe.tiny import main as make_model
from recipe.training.pixels import SharedPixels
from recipe.training.trainers import GroundingGRPOTrainer

PROMPTS, SAMPLES, STEPS, EPOCHS, ROLLOUTS = 8, 16, 2, 2, 2  # of an epoch, rollouts
DATA = """
seed: 0
clip: {{seconds: [8], min_objects: 1, max_objects: 2, min_event: 2, max_event: 7, max_step: 12}}
splits:
  grpo: {{clips: {clips}, use: ground}}
"""


class Meter(TrainerCallback):
    """CPU seconds of decoding with processing, and of everything, up to the end of each optimiser step."""

    def __init__(self) -> None:
        self.spent = 0.0
        self.ends: list[tuple[float, float]] = []

    @contextmanager
    def measures(self, cls: type, name: str) -> Iterator[None]:
        """Add the CPU time of a method, in whichever thread, while the body runs."""
        upstream = getattr(cls, name)

        @functools.wraps(upstream)
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            try:
                return upstream(*args, **kwargs)
            finally:
                self.spent += time.thread_time() - began

        setattr(cls, name, timed)
        try:
            yield
        finally:
            setattr(cls, name, upstream)

    def mark(self) -> None:
        """Keep how much was spent until now."""
        self.ends.append((self.spent, time.process_time()))

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.mark()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.mark()


def shares(folder: Path, units: str, shared: bool, rollouts: int) -> list[tuple[float, float]]:
    """Train two epochs; return CPU seconds of (decoding and processing, everything) in each."""
    tracks = str(folder / "data" / "grpo.jsonl")
    script = GRPOArguments(
        tracks=[tracks], video_root=str(folder / "data" / "videos"), prompts="tiny", max_frame_pixels=2304,
        cache_clips=1000, video_units=units,
    )  # fmt: skip
    model_args = ModelConfig(model_name_or_path=str(folder / "base"), dtype="float32")
    model, processor = load_model(model_args, script), load_processor(model_args, units)
    builder = row_builder(script, model, processor, completions=False)
    meter = Meter()
    trainer = GroundingGRPOTrainer(
        model=model,
        reward_funcs=reward_functions("tiou_mviou"),
        args=GRPOConfig(
            output_dir=str(folder / "out"), per_device_train_batch_size=PROMPTS * SAMPLES // STEPS,
            steps_per_generation=STEPS, num_generations=SAMPLES, temperature=0.7, max_completion_length=80,
            max_steps=STEPS * rollouts * EPOCHS, log_multimodal=False, gradient_checkpointing=False, use_cpu=True,
            bf16=False, dataloader_pin_memory=False, remove_unused_columns=False, report_to="none",
            save_strategy="no", disable_tqdm=True,
        ),
        train_dataset=load_mixture([tracks], builder),
        processing_class=processor,
        callbacks=[meter],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.shared_prefix = shared
    builder.clock, trainer.clips_ahead = trainer.clock, builder.clips
    with meter.measures(ClipFrames, "frames"), meter.measures(SharedPixels, "_tokenize_prompts"):
        trainer.train()
    marks = meter.ends[:: STEPS * rollouts]
    return [(b[0] - a[0], b[1] - a[1]) for a, b in zip(marks, marks[1:], strict=False)]


def main() -> None:
    """Measure pairs and pictures, with shared prompts and without."""
    options = parser_of(__doc__).parse_args()
    report = Report("decoding_share", options.rows)
    torch.set_num_threads(1)
    rollouts = 1 if options.quick else ROLLOUTS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "data.yaml").write_text(DATA.format(clips=PROMPTS * rollouts))
        words = ["synthetic", "--config", str(folder / "data.yaml"), "--out", str(folder / "data")]
        with contextlib.redirect_stdout(io.StringIO()):
            assert data_prep(words) == 0
            make_model(TinyArguments(tracks=[str(folder / "data" / "grpo.jsonl")], out=str(folder / "base")))
        for shared in (False,) if options.quick else (False, True):
            found = {units: shares(folder, units, shared, rollouts) for units in (PAIRS, FRAMES)}
            for number, (pairs, frames) in enumerate(zip(found[PAIRS], found[FRAMES], strict=True), 1):
                report.add(
                    f"decoding and processing, epoch {number}, shared_prefix {str(shared).lower()}, pairs@2",
                    *(100 * part / whole for part, whole in (pairs, frames)),
                    "% of a step's CPU time",
                    "frames@1",
                )


if __name__ == "__main__":
    main()
