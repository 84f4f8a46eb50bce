"""What decoding the next rollout's clips in a thread gives: seconds of a GRPO step with it and without, in one run.

    python -m bench.decode_ahead
    python -m bench.decode_ahead --seconds 20 --clips 4   # shorter

Films of 60 seconds at 360p, two of them a rollout with 4 samples each, used in two optimiser steps; the tiny model on
a CPU in one thread, so that a second core is free where the machine has one. Both ways take turns, each with clips
that it has not decoded. Printed are seconds on the clock an optimiser step, the first rollout left out: what decoding
adds to a step, and the whole step. On a GPU the update leaves the CPU idle; here both want cores.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig

from bench import sampler
from bench.pixels import constant
from bench.seconds_cost import texts
from bench.table import Report, parser_of
from recipe.inputs.dataset import make_builder
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import load_prompts
from recipe.tiny import TinyArguments, build_model, build_processor, build_tokenizer
from recipe.training.trainers import GroundingGRPOTrainer

PROMPTS, SAMPLES, STEPS, TURNS = 2, 4, 2, 2


class Steps(TrainerCallback):
    """Seconds between the ends of optimiser steps."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.ends.append(time.perf_counter())


def record(name: str, seconds: int) -> dict[str, Any]:
    """Return a record of a whole film."""
    states = [{"second": second, "box": [0.1, 0.2, 0.3, 0.4]} for second in range(seconds)]
    return {
        "schema": 1, "id": name, "source": "bench", "split": "train", "kind": "declarative", "video": name,
        "clip": [0.0, float(seconds)], "fps": 30.0, "width": 640, "height": 360, "seconds": seconds,
        "query": "the red circle", "label": "circle-1", "span": [0, seconds - 1], "track": states, "answer": None,
    }  # fmt: skip


def trained(folder: Path, records: list[dict[str, Any]], ahead: bool) -> tuple[float, float]:
    """Train on all records once: (seconds that decoding adds to a step, seconds of a step)."""
    tokenizer = build_tokenizer(iter(texts() * 3))
    args = TinyArguments()
    builder = make_builder(folder, load_prompts("tiny"), FAMILIES["glm4v"], 24, 48 * 48, completions=False)
    clock = Steps()
    trainer = GroundingGRPOTrainer(
        model=build_model(tokenizer, args),
        reward_funcs=[constant],
        args=GRPOConfig(
            output_dir=str(folder / "out"), per_device_train_batch_size=PROMPTS * SAMPLES // STEPS,
            steps_per_generation=STEPS, num_generations=SAMPLES, max_completion_length=32, log_multimodal=False,
            max_steps=len(records) // PROMPTS * STEPS, logging_steps=1, use_cpu=True, bf16=False, save_strategy="no",
            dataloader_pin_memory=False, remove_unused_columns=False, report_to="none", disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict({"record": list(map(json.dumps, records))}).with_transform(builder),
        processing_class=build_processor(tokenizer, args),
        callbacks=[clock],
    )  # fmt: skip
    builder.clock = trainer.clock
    trainer.clips_ahead = builder.clips if ahead else None
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    decode = [entry["seconds/decode"] for entry in trainer.state.log_history if "seconds/decode" in entry]
    # The last step of a rollout reads the next one's rows: from there to the step before the last rollout's last.
    spent = clock.ends[-2] - clock.ends[STEPS - 2]
    return statistics.mean(decode[STEPS - 1 : -1]), spent / (len(clock.ends) - STEPS)


def main() -> None:
    """Measure both ways."""
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=int, help="length of the films: 60, quick 10")
    parser.add_argument("--clips", type=int, help="how many films: 8, quick 6")
    options = parser.parse_args()
    seconds, clips = options.seconds or (10 if options.quick else 60), options.clips or (6 if options.quick else 8)
    torch.set_num_threads(1)
    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        films = [f"{number}.mp4" for number in range(clips)]
        sampler.film(Path(folder) / films[0], (640, 360), 60, 2, seconds=seconds)
        for name in films[1:]:
            shutil.copy(Path(folder) / films[0], Path(folder) / name)
        records = [record(name, seconds) for name in films]
        for _ in range(1 if options.quick else TURNS):
            for ahead in (False, True):
                found[ahead].append(trained(Path(folder), records, ahead))
    report = Report("decode_ahead", options.rows)
    for name, which in (("decoding", 0), ("whole step", 1)):
        without, ahead = (statistics.mean(turn[which] for turn in found[way]) for way in (False, True))
        report.add(f"{name}, clips of {seconds} s, an optimiser step", ahead, without, "s", "without decode_ahead")


if __name__ == "__main__":
    main()
