"""What the pictures of a GRPO rollout cost between the data set and the update: this trainer's way against TRL's own.

    python -m bench.pixels
    python -m bench.pixels --seconds 10 --side 112   # smaller: a process of TRL's way needs up to 14 GB by default

16 rows (2 prompts x 8 samples) of 60 s at 448 x 448 pixels, one frame a second, a model in bfloat16. Each way is a
process of its own, so that its peak memory is its own: the rollout is tokenised and processed, answers are made up
instead of generated, and the rows are put aside for the steps of the update. Printed are CPU seconds, the most memory
above what the process had before, and what the rollout that waits keeps.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
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
from recipe.rollouts.vllm import ImageGRPOTrainer
from recipe.tiny import TinyArguments, build_model, build_processor, build_tokenizer
from recipe.training.pixels import SharedPixels

PROMPTS, SAMPLES = 2, 8
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


def peak_bytes() -> int:
    """Return the most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def held_bytes(batches: list[dict[str, Any]]) -> int:
    """Return the bytes of the pixels that wait, each storage once."""
    parts = [part for batch in batches for part in getattr(batch["pixel_values"], "parts", [batch["pixel_values"]])]
    storages = {part.untyped_storage().data_ptr(): part.untyped_storage().nbytes() for part in parts}
    return sum(storages.values())


def measure(way: str, seconds: int, side: int) -> dict[str, float]:
    """Measure one rollout, processed and put aside: CPU seconds, bytes at most and bytes that wait."""
    tokenizer = build_tokenizer(iter(texts() * 3))
    args = TinyArguments(frame_side=side, patch_size=14)
    model = build_model(tokenizer, args).to(torch.bfloat16)
    data = rows(seconds, 1, side, PROMPTS)
    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder, per_device_train_batch_size=PROMPTS * SAMPLES // 2, steps_per_generation=2,
            gradient_accumulation_steps=2, num_generations=SAMPLES, log_multimodal=False, use_cpu=True, bf16=False,
            dataloader_pin_memory=False, remove_unused_columns=False, report_to="none",
        )  # fmt: skip
        trainer = {"TRL's": MadeUp, "ours": Shared}[way](
            model=model,
            reward_funcs=[constant],
            args=settings,
            train_dataset=data,
            processing_class=build_processor(tokenizer, args),
        )
        # Two prompts, whose pictures are two sets of objects, as two clips of a data set are.
        groups = [row | {"images": [picture.copy() for picture in row["images"]]} for row in data]
        trainer.model.train()
        inputs = [dict(row) for row in groups for _ in range(SAMPLES)]
        gc.collect()
        before, begun = peak_bytes(), time.process_time()
        trainer._prepare_inputs(inputs)
        spent = time.process_time() - begun
        return {"seconds": spent, "peak": peak_bytes() - before, "held": held_bytes(trainer._buffered_inputs)}


def main() -> None:
    """Measure both ways, each in a process of its own, and print them with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="length of the clips")
    parser.add_argument("--side", type=int, default=448, help="of a square frame, pixels; a multiple of 28")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.seconds, options.side)))
        return
    found = {}
    for way in WAYS:
        words = ["--way", way, "--seconds", str(options.seconds), "--side", str(options.side)]
        done = subprocess.run(
            [sys.executable, "-m", "bench.pixels", *words], stdout=subprocess.PIPE, text=True, check=True,
            cwd=Path(__file__).parent.parent,
        )  # fmt: skip
        found[way] = json.loads(done.stdout.splitlines()[-1])
    print(f"{PROMPTS} prompts x {SAMPLES} samples of {options.seconds} s at {options.side} x {options.side}")
    print("| what | TRL's own way | this trainer | ratio |\n|---|---:|---:|---:|")
    for name, key, unit, digits in (
        ("CPU seconds", "seconds", 1, 1),
        ("peak memory, GB", "peak", 1e9, 2),
        ("pixels that wait for the update, GB", "held", 1e9, 2),
    ):
        theirs, ours = (found[way][key] / unit for way in WAYS)
        print(f"| {name} | {theirs:.{digits}f} | {ours:.{digits}f} | {theirs / ours:.1f} |")


if __name__ == "__main__":
    main()
