"""What Hugging Face's generate costs in a GRPO rollout: prompts read once and the cache in place, or as TRL does.

    python -m bench.shared_prefill
    python -m bench.shared_prefill --seconds 30 --side 224 --prompts 1 --samples 8

8 prompts x 16 samples of 5 s at 48 x 48 pixels and 48 new tokens: the tiny recipe's rollout. A random model of its
architecture, sampling until all tokens are made. The ways take turns; the median of the rounds counts, CPU seconds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from typing import Any

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
import torch
from trl import GRPOConfig
from trl.data_utils import prepare_multimodal_messages

from bench.gpu import rows
from bench.pixels import constant
from bench.seconds_cost import texts
from bench.table import Pair, Report, parser_of
from recipe.rollouts.vllm import ImageGRPOTrainer
from recipe.tiny import TinyArguments, build_model, build_processor, build_tokenizer
from recipe.training.pixels import PIXELS, SharedPixels, generating


class Shared(SharedPixels, ImageGRPOTrainer):
    """The way of the recipe's trainer."""


def trainer_of(folder: str, data: Any, side: int, samples: int, prompts: int, tokens: int) -> Shared:
    """Return a trainer whose rollouts have so many prompts, samples and new tokens."""
    tokenizer = build_tokenizer(iter(texts() * 3))
    args = TinyArguments(frame_side=side, patch_size=12 if side % 24 == 0 else 14)
    settings = GRPOConfig(
        output_dir=folder, per_device_train_batch_size=prompts * samples, num_generations=samples,
        use_cpu=True, bf16=False, dataloader_pin_memory=False, remove_unused_columns=False, report_to="none",
        log_multimodal=False, max_completion_length=tokens, generation_kwargs={"min_new_tokens": tokens},
    )  # fmt: skip
    model, processor = build_model(tokenizer, args), build_processor(tokenizer, args)
    return Shared(model=model, reward_funcs=[constant], args=settings, train_dataset=data, processing_class=processor)


def measure(trainer: Shared, data: Any, samples: int, rounds: int) -> tuple[Pair, Pair]:
    """Return CPU seconds, and how many tokens of prompts the model read, of ours and of TRL's way."""
    groups = [row | {"images": [picture.copy() for picture in row["images"]]} for row in data]
    messages = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in groups]
    prompts = [message for message in messages for _ in range(samples)]
    ids, images, fields = trainer._tokenize_prompts(prompts)
    copied = fields | {PIXELS: fields[PIXELS][:]}
    ways = {
        "ours": lambda: trainer._generate_single_turn(ids, images, fields, samples),
        "TRL's": lambda: ImageGRPOTrainer._generate_single_turn(trainer, ids, images, copied, samples),
    }
    read: list[int] = []
    language = generating(trainer).model.language_model
    language.register_forward_hook(
        lambda module, args, kwargs, output: read.append(kwargs["inputs_embeds"].shape[:2].numel()), with_kwargs=True
    )
    spent: dict[str, list[float]] = {way: [] for way in ways}
    prefill = {}
    for _ in range(rounds + 1):
        for way, roll_out in ways.items():
            read.clear()
            torch.manual_seed(0)
            begun = time.process_time()
            roll_out()
            spent[way].append(time.process_time() - begun)
            prefill[way] = read[0]
    medians = (statistics.median(spent[way][1:]) for way in ways)  # the first round warms up
    return Pair(*medians), Pair(*(float(prefill[way]) for way in ways))


def main() -> None:
    """Measure a rollout."""
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="length of the clips")
    parser.add_argument("--side", type=int, default=48, help="of a square frame, pixels; a multiple of 24 or 28")
    parser.add_argument("--prompts", type=int, default=8, help="different clips")
    parser.add_argument("--samples", type=int, default=16, help="rows of each")
    parser.add_argument("--tokens", type=int, default=48, help="new tokens of each row")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = rows(options.seconds, 1, options.side, options.prompts)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(folder, data, options.side, options.samples, options.prompts, options.tokens)
        spent, read = measure(trainer, data, options.samples, 1 if options.quick else 3)
    what = f"{options.prompts} prompts x {options.samples} samples of {options.seconds} s at {options.side} pixels"
    report = Report("shared_prefill", options.rows)
    report.add(f"rollout through generate: {what}", spent.ours, spent.peer, "CPU s", "TRL's way", tokens=read)


if __name__ == "__main__":
    main()
