"""Rollouts through vLLM against Hugging Face's generate, in CPU time and on the clock; needs `make install-vllm`.

    .venv-vllm/bin/python -m bench.rollouts

Random models of the tiny recipe's architecture in two sizes; a rollout is 8 prompts of 12 pictures x 8 samples, both
ways in float32 on as many threads as OMP_NUM_THREADS says. `even`: each sample has 96 tokens. `ragged`: 8 to 96, as
trained answers end where they end; Hugging Face's batch runs until its longest does. `copies`: vLLM with a copy of the
prompt for each sample, as TRL asks, over vLLM asked once for 8 answers. vLLM starts each rollout with empty caches, as
after a weight sync. The ways take turns; ratios are taken within a round, and their median counts.
"""

from __future__ import annotations

import importlib.util
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl.data_utils import prepare_multimodal_messages

from bench.table import Report, parser_of
from recipe.inputs.prompts import load_prompts, question, user_message
from recipe.rollouts.distinct import AskedOnce
from recipe.rollouts.vllm import collapse_runs, llm_options
from recipe.tiny import TinyArguments, build_model, build_processor, build_tokenizer

WAYS = {  # what, and the peer
    "even": ("answers of even lengths through vLLM", "Hugging Face's generate"),
    "ragged": ("answers of ragged lengths through vLLM", "Hugging Face's generate"),
    "copies": ("vLLM asked once for all answers of a prompt", "asked with copies"),
}
Times = tuple[float, float]  # CPU seconds and seconds on the clock
PROMPTS, SAMPLES, PICTURES, SHORTEST, LONGEST, ROUNDS = 8, 8, 12, 8, 96, 3
SIZES = {
    "tiny recipe": TinyArguments(),
    "wider, larger frames": TinyArguments(
        hidden_size=256, intermediate_size=768, layers=4, heads=8, kv_heads=2, vision_hidden_size=128, frame_side=96
    ),
}


def built(folder: Path, args: TinyArguments) -> tuple[Any, Any]:
    """Build the model and its processor, and save them to `folder` for vLLM."""
    box = '"{}": [{{"label": "circle-1", "bbox_2d": [{}, {}, {}, {}]}}]'
    texts = [f"{k}s " + box.format(k, k, k * 2 % 1000, k + 9, k * 3 % 1000) for k in range(600)]
    tokenizer = build_tokenizer(iter(texts * 3))
    build_model(tokenizer, args).save_pretrained(folder)
    build_processor(tokenizer, args).save_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoProcessor.from_pretrained(folder, padding_side="left")


def clips(side: int) -> list[list[Image.Image]]:
    """Make the pictures of each prompt, all different."""
    rng = random.Random(0)
    return [
        [Image.frombytes("RGB", (side, side), rng.randbytes(3 * side * side)) for _ in range(PICTURES)]
        for _ in range(PROMPTS)
    ]


def inputs_of(processor: Any, pictures: list[list[Image.Image]]) -> Any:
    """Return the inputs of Hugging Face's model: each prompt repeated once for each sample."""
    record = {"kind": "declarative", "query": "the red circle moves about"}
    message = user_message([float(k) for k in range(PICTURES)], question(record, load_prompts("tiny")))
    messages = [prepare_multimodal_messages([message], images=images) for images in pictures for _ in range(SAMPLES)]
    return processor.apply_chat_template(
        messages,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )


def spent(work: Callable[[], int], tokens: int) -> Times:
    """Return (CPU seconds, seconds on the clock) of a rollout, and check the number of its tokens."""
    cpu, clock = time.process_time(), time.perf_counter()
    made = work()
    assert made == tokens, (made, tokens)
    return time.process_time() - cpu, time.perf_counter() - clock


def measure(args: TinyArguments, rounds: int) -> tuple[str, dict[str, list[tuple[Times, Times]]]]:
    """Return the size, and of each way in `WAYS` ours and the peer's times in each round."""
    from vllm import LLM, SamplingParams

    shortest = {"even": LONGEST, "ragged": SHORTEST}
    times: dict[str, list[tuple[Times, Times]]] = {kind: [] for kind in WAYS}
    with tempfile.TemporaryDirectory() as temporary:
        model, processor = built(Path(temporary), args)
        options = llm_options(SimpleNamespace(bf16=False, fp16=False), model)
        engine = LLM(temporary, max_model_len=2048, max_num_batched_tokens=4096, disable_log_stats=True, **options)
        pictures = clips(args.frame_side)
        inputs = inputs_of(processor, pictures)
        never = [model.config.image_token_id, model.config.video_token_id]
        prompts = [
            {
                "prompt_token_ids": collapse_runs(ids[mask.bool()].tolist(), model.config.image_token_id),
                "multi_modal_data": {"image": pictures[number // SAMPLES]},
            }
            for number, (ids, mask) in enumerate(zip(inputs["input_ids"], inputs["attention_mask"], strict=True))
        ]
        parameters = sum(parameter.numel() for parameter in model.parameters())
        size = f"prompts of {inputs['input_ids'].shape[1]} tokens, {parameters:,} parameters"

        def with_vllm(lengths: list[int]) -> int:
            engine.llm_engine.reset_encoder_cache()
            engine.reset_prefix_cache()
            sampling = [
                SamplingParams(max_tokens=n, ignore_eos=True, logprobs=0, logit_bias=dict.fromkeys(never, -100.0))
                for n in lengths
            ]
            outputs = engine.generate(prompts, sampling, use_tqdm=False)
            return sum(len(output.outputs[0].token_ids) for output in outputs)

        def with_vllm_once() -> int:
            engine.llm_engine.reset_encoder_cache()
            engine.reset_prefix_cache()
            bias = dict.fromkeys(never, -100.0)
            sampling = SamplingParams(max_tokens=LONGEST, ignore_eos=True, logprobs=0, logit_bias=bias)
            answers = AskedOnce(engine.generate)(prompts, sampling_params=sampling, use_tqdm=False)
            return sum(len(answer.outputs[0].token_ids) for answer in answers)

        @torch.inference_mode()
        def with_hugging_face(lengths: list[int]) -> int:
            longest = max(lengths)
            output = model.generate(
                **inputs,
                do_sample=True,
                top_k=0,
                suppress_tokens=never,
                min_new_tokens=longest,
                max_new_tokens=longest,
            )
            return int(output[:, inputs["input_ids"].shape[1] :].numel())

        rng = random.Random(1)
        for turn in range(rounds + 1):
            for kind, least in shortest.items():
                lengths = [rng.randint(least, LONGEST) for _ in prompts]
                ours = spent(lambda lengths=lengths: with_vllm(lengths), sum(lengths))
                theirs = spent(lambda lengths=lengths: with_hugging_face(lengths), max(lengths) * len(lengths))
                if turn:  # the first warms both up
                    times[kind].append((ours, theirs))
            tokens = LONGEST * len(prompts)
            once = spent(with_vllm_once, tokens)
            copies = spent(lambda: with_vllm([LONGEST] * len(prompts)), tokens)
            if turn:
                times["copies"].append((once, copies))
    return size, times


def main() -> None:
    """Measure both sizes, or say that vLLM is not installed."""
    options = parser_of(__doc__).parse_args()
    report = Report("rollouts", options.rows)
    if importlib.util.find_spec("vllm") is None:
        report.leave_out("make install-vllm, then .venv-vllm/bin/python -m bench.rollouts")
        return
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the engine in this process, as when training
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    for name, args in list(SIZES.items())[: 1 if options.quick else None]:
        size, found = measure(args, 1 if options.quick else ROUNDS)
        for kind, rounds in found.items():
            what, peer = WAYS[kind]
            for which, unit in enumerate(("CPU s", "s")):
                middle = statistics.median(ours[which] for ours, _ in rounds)
                ratio = statistics.median(theirs[which] / ours[which] for ours, theirs in rounds)
                report.add(f"{what}, {name} ({size})", middle, ratio * middle, unit, peer)


if __name__ == "__main__":
    main()
