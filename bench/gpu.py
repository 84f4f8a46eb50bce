"""One card with a 9B-shaped GLM-4.1V of random weights in bf16: what a step costs as the clip gets longer.

    python -m bench.gpu
    python -m bench.gpu --seconds 10 30 --frame_rate 4
    python -m bench.gpu --tiny       # the same path with a tiny model, on a CPU: no numbers worth keeping

For clips of 10, 30, 60 and 120 seconds at one frame a second, and for the same clips frame by frame (8 a second here:
at 25 no card holds them): a LoRA SFT step (seconds, tokens a second, MFU, peak memory), and a rollout of GRPO by phase
(Hugging Face's generate, scoring, rewards, the two optimiser steps on it). Random weights cost what trained ones do.
What does not fit is printed as such. The numbers belong in docs/gpu.md, with the command and the date.

MFU counts the model's own work: 4 operations a weight and token (forward, and backward through frozen weights) in the
language model, 2 a weight and patch in the vision tower, which gets no gradient; attention between tokens, and what
checkpointing does again, are not counted.
"""

from __future__ import annotations

import datetime
import gc
import platform
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
import torch
import transformers
import trl
from datasets import Dataset
from peft import LoraConfig
from PIL import Image
from transformers import AutoModelForImageTextToText, PrinterCallback, TrainerCallback
from transformers.models.glm4v.configuration_glm4v import Glm4vConfig
from trl import GRPOConfig, SFTConfig

from bench.seconds_cost import texts
from bench.table import Pair, Report, parser_of
from recipe.inputs.families import FAMILIES, is_vision
from recipe.inputs.prompts import load_prompts, question, user_message
from recipe.rewards import reward_functions
from recipe.tiny import TinyArguments, build_processor, build_tokenizer, model_config
from recipe.training.trainers import GroundingGRPOTrainer, GroundingSFTTrainer
from stvg_rewards import Track, format_answer

# Dense bf16 operations a second of the cards that we know, by a word of their name.
PEAK = {"H100": 989e12, "H200": 989e12, "B200": 2250e12, "A100": 312e12, "L40S": 362e12}
PHASES = ("rollout", "score", "reward", "update")
STEPS_A_ROLLOUT = 2  # of the optimiser, as in the full-size recipes


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Attributes:
        seconds: lengths of the clips.
        frame_rate: frames a second of frame-level input.
        side: of a square frame, pixels.
        samples: of a GRPO group, each `tokens` tokens long.
        steps: timed ones, after one that warms up.
    """

    seconds: tuple[int, ...] = (10, 30, 60, 120)
    frame_rate: int = 8
    side: int = 448
    samples: int = 8
    tokens: int = 256
    steps: int = 3
    tiny: bool = False


def published_config(tokenizer: Any) -> Glm4vConfig:
    """Return GLM-4.1V-9B's sizes with a small tokenizer's ids; unused ids cost as much in the LM head as others."""
    small = model_config(tokenizer, TinyArguments()).to_dict()
    ids = {name: small[name] for name in small if name.endswith("_token_id") and small[name] is not None}
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "mrope_section": [8, 12, 12],
    }
    text = {"rope_parameters": rope, "attention_bias": True, "max_position_embeddings": 2**18}
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    return Glm4vConfig(text_config=text | ends, **ids)


def built(sizes: Sizes, device: str) -> tuple[Callable[[], Any], Any]:
    """Return a function that makes the model anew, and its processor."""
    args = TinyArguments(frame_side=48) if sizes.tiny else TinyArguments(frame_side=sizes.side, patch_size=14)
    tokenizer = build_tokenizer(iter(texts() * 3))
    config = model_config(tokenizer, args) if sizes.tiny else published_config(tokenizer)

    def make() -> Any:
        with torch.device(device):
            model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        model.generation_config.pad_token_id = tokenizer.pad_token_id
        return model

    return make, build_processor(tokenizer, args)


def rows(seconds: int, rate: int, side: int, count: int) -> Dataset:
    """Make `count` rows of a clip of noise at `rate` frames a second, whose answer has a box for every frame."""
    states = seconds * rate
    starts = [index / rate for index in range(states)]
    prompt = [user_message(starts, question({"kind": "declarative", "query": "the red circle"}, load_prompts()))]
    track = Track("circle-1", dict.fromkeys(range(states), (0.1, 0.2, 0.3, 0.4)))
    family = FAMILIES["glm4v"]
    answer = f"{family.answer[0]}{format_answer(track, scale=(1000, 1000))}{family.answer[1]}"
    truth = [{"second": second, "box": [0.1, 0.2, 0.3, 0.4]} for second in range(seconds)]
    noise = random.Random(0)
    pictures = [Image.frombytes("RGB", (side, side), noise.randbytes(3 * side * side)) for _ in range(4)]

    def transform(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        row = {
            "images": [pictures[index % 4] for index in range(states)],
            "prompt": prompt,
            "completion": [{"role": "assistant", "content": answer}],
            "track": truth,
            "span": [0, seconds - 1],
            "seconds": seconds,
            "box_scale": [1000, 1000],
        }
        return {name: [value] * len(batch["number"]) for name, value in row.items()}

    return Dataset.from_dict({"number": list(range(count))}).with_transform(transform)


def now(device: str) -> float:
    """Return the clock's seconds once the device has finished its queued work."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_gib(device: str) -> float:
    """Return the peak memory so far, GiB: of the card, or of this process on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


@contextmanager
def fresh(device: str) -> Iterator[None]:
    """Free what the last measurement left, and reset the peak memory."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    yield


class Clock(TrainerCallback):
    """Seconds of each optimiser step after those that warm up."""

    def __init__(self, device: str, warm: int) -> None:
        self.device, self.warm, self.begin = device, warm, 0.0
        self.spent: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.begin = now(self.device)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step > self.warm:
            self.spent.append(now(self.device) - self.begin)


class PhasedTrainer(GroundingGRPOTrainer):
    """GroundingGRPOTrainer that keeps how long rollouts, scoring and rewards took, seconds, the first one left out.

    Beside the phases that each run logs, scoring is a phase of its own, and the clock waits for the device.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.phases: dict[str, float] = defaultdict(float)
        super().__init__(*args, **kwargs)

    def _timed(self, phase: str, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        kind = self.accelerator.device.type
        begin = now(kind)
        result = work(*args, **kwargs)
        if self.state.global_step >= STEPS_A_ROLLOUT:
            self.phases[phase] += now(kind) - begin
        return result

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        return self._timed("rollout", super()._generate, *args, **kwargs)

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:
        return self._timed("reward", super()._calculate_rewards, *args, **kwargs)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled():
            return super()._get_per_token_logps_and_entropies(*args, **kwargs)
        return self._timed("score", super()._get_per_token_logps_and_entropies, *args, **kwargs)


def common(folder: str, sizes: Sizes, device: str) -> dict[str, Any]:
    """Return the settings that both trainers share."""
    return {
        "output_dir": folder,
        "per_device_train_batch_size": 1,
        "learning_rate": 1e-5,
        "bf16": device == "cuda",
        "use_cpu": device == "cpu",
        "gradient_checkpointing": True,
        "dataloader_pin_memory": device == "cuda",
        "remove_unused_columns": False,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_strategy": "no",
    }


def lora() -> LoraConfig:
    """Return the adapter settings of the full-size recipes."""
    return LoraConfig(r=64, lora_alpha=128, target_modules=FAMILIES["glm4v"].lora_targets, task_type="CAUSAL_LM")


def sft_step(make: Callable[[], Any], processor: Any, data: Dataset, sizes: Sizes, device: str) -> dict[str, float]:
    """Measure a LoRA SFT step on one row: seconds, tokens, peak memory, and the operations that MFU counts."""
    with fresh(device), tempfile.TemporaryDirectory() as folder:
        model, clock = make(), Clock(device, warm=1)
        weights = sum(p.numel() for name, p in model.named_parameters() if not is_vision(name))
        tower = sum(p.numel() for name, p in model.named_parameters() if is_vision(name))
        trainer = GroundingSFTTrainer(
            model=model,
            args=SFTConfig(max_length=None, max_steps=sizes.steps + 1, **common(folder, sizes, device)),
            train_dataset=data,
            processing_class=processor,
            peft_config=lora(),
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        batch = trainer.data_collator([data[0]])
        tokens, patches = batch["input_ids"].numel(), batch["pixel_values"].shape[0]
        trainer.train()
        return {
            "seconds": sum(clock.spent) / len(clock.spent),
            "tokens": tokens,
            "operations": 4.0 * weights * tokens + 2.0 * tower * patches,
            "memory": peak_gib(device),
        }


def grpo_step(make: Callable[[], Any], processor: Any, data: Dataset, sizes: Sizes, device: str) -> dict[str, float]:
    """Measure a rollout of one prompt's group and its optimiser steps: seconds by phase, and peak memory."""
    with fresh(device), tempfile.TemporaryDirectory() as folder:
        clock = Clock(device, warm=STEPS_A_ROLLOUT)
        trainer = PhasedTrainer(
            model=make(),
            reward_funcs=reward_functions("tiou_mviou"),
            args=GRPOConfig(
                max_steps=STEPS_A_ROLLOUT * (sizes.steps + 1),
                num_generations=sizes.samples,
                gradient_accumulation_steps=sizes.samples // STEPS_A_ROLLOUT,
                steps_per_generation=sizes.samples,
                num_iterations=1,
                max_completion_length=sizes.tokens,
                generation_kwargs={"min_new_tokens": sizes.tokens},
                beta=0.0,
                loss_type="grpo",
                log_multimodal=False,
                **common(folder, sizes, device),
            ),
            train_dataset=data,
            processing_class=processor,
            peft_config=lora(),
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        rollouts = len(clock.spent) / STEPS_A_ROLLOUT
        phases = {phase: trainer.phases[phase] / rollouts for phase in PHASES[:-1]}
        seconds = sum(clock.spent) / rollouts
        return phases | {
            "update": seconds - sum(phases.values()),
            "seconds": seconds,
            "memory": peak_gib(device),
        }


def measured(work: Callable[..., dict[str, float]], *args: Any) -> dict[str, float] | None:
    """Return what `work` measures, or None where the memory does not suffice."""
    try:
        return work(*args)
    except torch.OutOfMemoryError:
        return None


def measure(sizes: Sizes, device: str, peak: float | None, report: Report) -> None:
    """Measure and print tables, and add a row of each clip: second level against frame level, and the GRPO rollout."""
    make, processor = built(sizes, device)
    side = 48 if sizes.tiny else sizes.side
    print("LoRA SFT step, one clip a step\n")
    print("| clip | input | tokens | s a step | tokens/s | MFU | peak GiB |\n|---|---|---:|---:|---:|---:|---:|")
    steps: dict[int, list[dict[str, float]]] = {}
    rollouts: dict[int, dict[str, float]] = {}
    for seconds in sizes.seconds:
        levels: dict[str, dict[str, float]] = {}
        for name, rate in (("second", 1), ("frame", sizes.frame_rate)):
            measurement = measured(
                sft_step, make, processor, rows(seconds, rate, side, sizes.steps + 2), sizes, device
            )
            if measurement is None:
                print(f"| {seconds} s | {name} | | does not fit | | | |", flush=True)
                continue
            levels[name] = measurement
            share = f"{measurement['operations'] / measurement['seconds'] / peak:.1%}" if peak else ""
            print(
                f"| {seconds} s | {name} | {measurement['tokens']:.0f} | {measurement['seconds']:.2f} "
                f"| {measurement['tokens'] / measurement['seconds']:.0f} | {share} | {measurement['memory']:.1f} |",
                flush=True,
            )
        if "second" in levels:
            steps[seconds] = list(levels.values())
    print(f"\nGRPO, a rollout of one prompt x {sizes.samples} samples of {sizes.tokens} tokens\n")
    print("| clip | rollout s | score s | reward s | update s | total s | peak GiB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for seconds in sizes.seconds:
        measurement = measured(grpo_step, make, processor, rows(seconds, 1, side, sizes.steps + 2), sizes, device)
        if measurement is None:
            print(f"| {seconds} s | does not fit | | | | | |", flush=True)
            continue
        listed = " | ".join(f"{measurement[phase]:.2f}" for phase in PHASES)
        print(f"| {seconds} s | {listed} | {measurement['seconds']:.2f} | {measurement['memory']:.1f} |", flush=True)
        rollouts[seconds] = measurement
    print()
    for seconds, found in steps.items():
        step, tokens = (Pair(*(each[name] for each in found)) for name in ("seconds", "tokens"))
        memory = Pair(*(each["memory"] * 2**30 for each in found))
        frames = f"{sizes.frame_rate} frames a second"
        report.add(f"LoRA SFT step, {seconds} s", step.ours, step.peer, "s", frames, tokens=tokens, memory=memory)
    for seconds, each in rollouts.items():
        what = f"GRPO rollout and its {STEPS_A_ROLLOUT} steps, {seconds} s x {sizes.samples} samples"
        report.add(what, each["seconds"], unit="s", memory=Pair(each["memory"] * 2**30))


def main(argv: list[str] | None = None) -> None:
    """Print the tables, or one line where there is no GPU."""
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 30, 60, 120])
    parser.add_argument("--frame_rate", type=int, default=8, help="frames a second of frame-level input")
    parser.add_argument("--peak_tflops", type=float, help="of the card in dense bf16, where its name is unknown")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, on a CPU: tries the path")
    args = parser.parse_args(argv)
    report = Report("gpu", args.rows)
    if not args.tiny and not torch.cuda.is_available():
        report.leave_out("no GPU here; python -m bench.gpu --tiny tries the path without")
        return
    sizes = Sizes(tuple(args.seconds[: 1 if args.quick else None]), args.frame_rate)
    device, card, peak = "cpu", platform.machine(), None
    if args.tiny:
        sizes = Sizes((2, 4), 2, side=48, samples=2, tokens=8, steps=1, tiny=True)
    else:
        device, card = "cuda", torch.cuda.get_device_name()
        known = next((value for word, value in PEAK.items() if word in card), None)
        peak = args.peak_tflops * 1e12 if args.peak_tflops else known
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, trl {trl.__version__}"
    print(f"{datetime.date.today()}, {card}, {versions}\n")
    measure(sizes, device, peak, report)


if __name__ == "__main__":
    main()
