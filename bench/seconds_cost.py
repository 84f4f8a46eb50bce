"""What second-level tracks save: prompt tokens, answer tokens and latency against frame-level ones on the same clip.

    python -m bench.seconds_cost

A checkpoint of the tiny recipe's size with random weights, clips of 10, 30 and 60 seconds at 8 frames a second (the
fewest that the synthetic source draws: at 30 it would be four times more). Frame level means every frame in the
prompt and a box for every frame in the answer. Latency is one greedy answer of exactly that length, the faster of two.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl.data_utils import prepare_multimodal_messages

from bench.table import Pair, Report, parser_of
from recipe.inputs.prompts import load_prompts, question, user_message
from recipe.studies.frame_cost import latency
from recipe.tiny import TinyArguments, build_model, build_processor, build_tokenizer
from stvg_rewards import Track, format_answer

FPS = 8


def texts() -> list[str]:
    """Return the texts that the tokenizer is trained on: timestamps, numbers and states."""
    box = '"{}": [{{"label": "circle-1", "bbox_2d": [{}, {}, {}, {}]}}]'
    return [f"{k}s " + box.format(k, k, k * 2 % 1000, k + 9, k * 3 % 1000) for k in range(600)]


def built(folder: Path) -> tuple[Any, Any]:
    """Build the model and its processor."""
    args = TinyArguments()
    tokenizer = build_tokenizer(iter(texts() * 3))
    build_model(tokenizer, args).save_pretrained(folder)
    build_processor(tokenizer, args).save_pretrained(folder)
    return AutoModelForImageTextToText.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)


def prompt(processor: Any, seconds: int, rate: int) -> Any:
    """Make the model's inputs for a clip at `rate` frames a second."""
    starts = [index / rate for index in range(seconds * rate)]
    record = {"kind": "declarative", "query": "the red circle moves about"}
    message = user_message(starts, question(record, load_prompts("tiny")))
    messages = prepare_multimodal_messages([message], images=[Image.new("RGB", (48, 48))] * len(starts))
    return processor.apply_chat_template(
        [messages], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )


def answer_tokens(processor: Any, states: int) -> int:
    """Return the number of tokens of an answer with this many states."""
    track = Track("circle-1", dict.fromkeys(range(states), (0.1, 0.2, 0.3, 0.4)))
    return len(processor.tokenizer(format_answer(track, scale=(1000, 1000)))["input_ids"])


def main() -> None:
    """Measure both levels."""
    options = parser_of(__doc__).parse_args()
    report = Report("seconds_cost", options.rows)
    with tempfile.TemporaryDirectory() as folder:
        model, processor = built(Path(folder))
        for seconds in (10,) if options.quick else (10, 30, 60):
            inputs = [prompt(processor, seconds, rate) for rate in (1, FPS)]
            prompts = [each["input_ids"].shape[1] for each in inputs]
            answers = [answer_tokens(processor, seconds * rate) for rate in (1, FPS)]
            spent = [latency(model, each, tokens) for each, tokens in zip(inputs, answers, strict=True)]
            what, frames = f"answer about {seconds} s, {answers[0]} tokens for {answers[1]}", f"{FPS} frames a second"
            report.add(what, *spent, "s", frames, tokens=Pair(*prompts))


if __name__ == "__main__":
    main()
