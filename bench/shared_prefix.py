"""GRPO's update with each prompt computed once against TRL's own rows: tokens, FLOPs, peak memory and time.

    python -m bench.shared_prefix

Random models of the tiny recipe's architecture in float32, forward and backward of the loss over one micro-batch, both
ways with the same answers. FLOPs are torch's count of the operations that ran; a ratio above 1 says how much less
the shared prompt takes. Memory is that of the tensors that autograd and the operations hold at their peak. The ways
take turns; the time's ratio is the median of the rounds'.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
import torch
from datasets import Dataset
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from trl import GRPOConfig

from bench.table import Pair, Report, parser_of
from recipe.inference.generation import prompt_inputs
from recipe.inputs.prompts import load_prompts, question, user_message
from recipe.tiny import TinyArguments, build_model, build_processor, build_tokenizer
from recipe.training.trainers import GroundingGRPOTrainer

SHORTEST, ROUNDS = 32, 3


@dataclass(frozen=True)
class Shape:
    """A micro-batch: prompts of `seconds` pictures, `rows` answers drawn from `prompts` groups of `answers`."""

    seconds: int
    answers: int
    prompts: int
    rows: int
    longest: int = 80

    def __str__(self) -> str:
        part = "" if self.rows == self.prompts * self.answers else f", {self.rows} rows of them"
        return f"{self.prompts} x {self.seconds} s x {self.answers} answers{part}"


# The second is the tiny recipe's: of 8 prompts x 16 samples TRL draws 64 rows for an optimiser step.
SHAPES = (Shape(8, 4, 1, 4), Shape(12, 16, 8, 64), Shape(60, 8, 1, 8))


def built(folder: str, tiny: TinyArguments | None = None) -> Any:
    """Build a trainer with a random model of the tiny recipe's architecture, in its size or in another."""
    tiny = tiny or TinyArguments()
    box = '"{}": [{{"label": "circle-1", "bbox_2d": [{}, {}, {}, {}]}}]'
    texts = [f"{k}s " + box.format(k, k, k * 2 % 1000, k + 9, k * 3 % 1000) for k in range(600)]
    torch.manual_seed(0)
    tokenizer = build_tokenizer(iter(texts * 3))
    model = build_model(tokenizer, tiny)
    args = GRPOConfig(output_dir=folder, bf16=False, use_cpu=True, report_to="none", gradient_checkpointing=False)
    return GroundingGRPOTrainer(
        model=model,
        reward_funcs=[len],
        args=args,
        train_dataset=Dataset.from_list([{"prompt": "never trained on"}]),
        processing_class=build_processor(tokenizer, tiny),
    )


def micro_batch(trainer: Any, shape: Shape, side: int = TinyArguments().frame_side) -> dict[str, Any]:
    """Make a micro-batch as TRL's rollout leaves it: rows shuffled, prompts padded left and answers right."""
    rng = random.Random(0)
    prompts = load_prompts("tiny")
    rows: list[dict[str, Any]] = []
    for number in range(shape.prompts):
        pictures = [Image.frombytes("RGB", (side, side), rng.randbytes(3 * side * side)) for _ in range(shape.seconds)]
        asked = question({"kind": "declarative", "query": f"the red circle {number} moves about"}, prompts)
        message = user_message([float(second) for second in range(shape.seconds)], asked)
        rows += [{"prompt": [message], "images": pictures}] * shape.answers
    inputs = prompt_inputs(trainer.processing_class, rng.sample(rows, shape.rows))
    lengths = torch.tensor([rng.randint(SHORTEST, shape.longest) for _ in range(shape.rows)])
    mask = (torch.arange(shape.longest) < lengths[:, None]).long()
    generator = torch.Generator().manual_seed(1)
    answers = torch.randint(100, trainer.model.config.text_config.vocab_size, mask.shape, generator=generator)
    return {
        "prompt_ids": inputs["input_ids"],
        "prompt_mask": inputs["attention_mask"],
        "completion_ids": answers,
        "completion_mask": mask,
        "advantages": torch.randn(shape.rows, generator=generator),
        "num_items_in_batch": mask.sum(),
        "pixel_values": inputs["pixel_values"],
        "image_grid_thw": inputs["image_grid_thw"],
        "num_images": [shape.seconds] * shape.rows,
        "mm_token_type_ids": torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(mask)], dim=1),
    }


def peak_bytes(work: Callable[[], Any]) -> float:
    """Return the most memory that the work's tensors take beyond what there was before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    found = profiler.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in found if event.name() == "[memory]")
    held = peak = 0
    for _, size in changes:
        held += size
        peak = max(peak, held)
    return float(peak)


def flops(work: Callable[[], Any]) -> float:
    """Return the floating-point operations that torch counts in the work.

    Attention runs by matrix products, because torch does not count those inside its fused kernels of a CPU.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def seconds(work: Callable[[], Any]) -> float:
    """Return the work's time on the clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure each shape."""
    options = parser_of(__doc__).parse_args()
    report = Report("shared_prefix", options.rows)
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        trainer = built(folder)
    model = trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    tokens: list[int] = []
    model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: tokens.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    for shape in SHAPES[: 1 if options.quick else None]:
        inputs = micro_batch(trainer, shape)

        def update(shared: bool, inputs: dict[str, Any] = inputs) -> None:
            trainer.shared_prefix = shared
            model.zero_grad()
            trainer._compute_loss(model, inputs).backward()

        counted, memory = (
            Pair(*(measure(lambda shared=shared: update(shared)) for shared in (True, False)))
            for measure in (flops, peak_bytes)
        )
        tokens.clear()
        rounds = [[seconds(lambda shared=shared: update(shared)) for shared in (False, True)] for _ in range(ROUNDS)]
        size = Pair(sum(tokens[1:]) / ROUNDS, tokens[0])
        spent = statistics.median(ours for _, ours in rounds)
        peer = spent * statistics.median(own / ours for own, ours in rounds)
        what = f"forward and backward of a micro-batch, {shape}"
        report.add(what, spent, peer, "s", "TRL's rows", tokens=size, flops=counted, memory=memory)


if __name__ == "__main__":
    main()
