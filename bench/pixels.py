"""What the pictures of a GRPO rollout cost between the data set and the update: this trainer's way against TRL's own.

    python -m bench.pixels
    python -m bench.pixels --prompts 2 --samples 8   # 16 rows: a process of TRL's way needs up to 14 GB

4 rows (1 prompt x 4 samples) of 60 s at 448 x 448 pixels, one frame a second, a model in bfloat16: pixels kept
once in bfloat16 take an eighth of 4 rows in float32, and more samples share more. Each way is a process of its own, so
that its peak memory is its own: the rollout is tokenised and processed, answers are made up instead of generated, and
the rows are put aside for the update. Measured are CPU seconds, the most memory above what the process had before, and
what the rollout that waits keeps.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
import torch
from trl import GRPOConfig

from bench.gpu import rows
from bench.seconds_cost import texts
from bench.table import Pair, Report, parser_of
from recipe.rollouts.vllm import ImageGRPOTrainer
from recipe.tiny import TinyArguments, build_model, build_processor, build_tokenizer
from recipe.training.pixels import SharedPixels

WAYS = ("TRL's", "ours")


class MadeUp(ImageGRPOTrainer):
    """TRL's own way, with answers of two tokens that no model is asked for."""

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        return [[5, 6] for _ in prompt_ids], None


class Shared(SharedPixels, MadeUp):
    """The way of the recipe's trainer."""


def constant(completions: list[Any], **kwargs: Any) -> list[float]:
    """Return a reward of 1 for every second answer and 0 for the others."""
    return [float(place % 2) for place in range(len(completions))]


def status_bytes(name: str) -> int:
    """Return this process's memory in bytes: VmRSS is what it has, VmHWM the most since the last reset."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def held_bytes(batches: list[dict[str, Any]]) -> int:
    """Return the bytes of the pixels that wait, each storage once."""
    parts = [part for batch in batches for part in getattr(batch["pixel_values"], "parts", [batch["pixel_values"]])]
    storages = {part.untyped_storage().data_ptr(): part.untyped_storage().nbytes() for part in parts}
    return sum(storages.values())


def measure(way: str, seconds: int, side: int, prompts: int, samples: int) -> dict[str, float]:
    """Measure one rollout, processed and put aside: CPU seconds, bytes at most and bytes that wait."""
    tokenizer = build_tokenizer(iter(texts() * 3))
    args = TinyArguments(frame_side=side, patch_size=14)
    model = build_model(tokenizer, args).to(torch.bfloat16)
    data = rows(seconds, 1, side, prompts)
    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder, per_device_train_batch_size=prompts * samples // 2, steps_per_generation=2,
            gradient_accumulation_steps=2, num_generations=samples, log_multimodal=False, use_cpu=True, bf16=False,
            dataloader_pin_memory=False, remove_unused_columns=False, report_to="none",
        )  # fmt: skip
        trainer = {"TRL's": MadeUp, "ours": Shared}[way](
            model=model,
            reward_funcs=[constant],
            args=settings,
            train_dataset=data,
            processing_class=build_processor(tokenizer, args),
        )
        # The pictures of each prompt are objects of their own, as those of clips of a data set are.
        groups = [row | {"images": [picture.copy() for picture in row["images"]]} for row in data]
        trainer.model.train()
        inputs = [dict(row) for row in groups for _ in range(samples)]
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak begins anew
        before, begun = status_bytes("VmRSS"), time.process_time()
        trainer._prepare_inputs(inputs)
        spent = time.process_time() - begun
        return {"seconds": spent, "peak": status_bytes("VmHWM") - before, "held": held_bytes(trainer._buffered_inputs)}


def main() -> None:
    """Measure both ways, each in a process of its own."""
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=int, help="length of the clips: 60, quick 10")
    parser.add_argument("--side", type=int, default=448, help="of a square frame, pixels; a multiple of 28")
    parser.add_argument("--prompts", type=int, default=1, help="different clips")
    parser.add_argument("--samples", type=int, default=4, help="rows of each; an even number")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = options.seconds or (10 if options.quick else 60)
    size = seconds, options.side, options.prompts, options.samples
    if options.way:
        print(json.dumps(measure(options.way, *size)))
        return
    found = {}
    for way in WAYS:
        names = ("--seconds", "--side", "--prompts", "--samples")
        words = ["--way", way, *(str(word) for pair in zip(names, size, strict=True) for word in pair)]
        done = subprocess.run(
            [sys.executable, "-m", "bench.pixels", *words], stdout=subprocess.PIPE, text=True, check=True,
            cwd=Path(__file__).parent.parent,
        )  # fmt: skip
        found[way] = json.loads(done.stdout.splitlines()[-1])
    report = Report("pixels", options.rows)
    spent, peak, held = (Pair(*(found[way][key] for way in reversed(WAYS))) for key in ("seconds", "peak", "held"))
    what = f"{options.prompts} prompt x {options.samples} samples of {seconds} s at {options.side} x {options.side}"
    report.add(f"pictures of a rollout: {what}", spent.ours, spent.peer, "CPU s", "TRL's way", memory=peak)
    report.add(f"pixels that wait for the update: {what}", held.ours, held.peer, "B", "TRL's way")


if __name__ == "__main__":
    main()
