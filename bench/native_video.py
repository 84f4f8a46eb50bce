"""What pairs of frames cost against still pictures: decoding, the processor and prompt tokens, for 10 to 120 seconds.

    python -m bench.native_video
    .venv-vllm/bin/python -m bench.native_video     # a rollout through vLLM too; needs `make install-vllm`

`frames@1`: a picture a second; `frames@2`: two; `pairs@2`: `video_units: pairs`, two in one grid a second. H.264
clips of moving shapes in two sizes: that of the tiny recipe (48 x 48 to the model, patches of 12 pixels) and 448 x 448
with patches of 14, as GLM-4.1V takes them. CPU times are medians of three turns, in which the inputs take turns;
`again` is a clip that the cache holds, as for every further sample and step on it. A rollout is a prompt with eight
samples of 32 tokens by a random model of the tiny recipe's size. Each input is compared with `frames@1`.
"""

from __future__ import annotations

import importlib.util
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
import av
import numpy as np
from PIL import Image
from transformers import AutoProcessor
from trl.data_utils import prepare_multimodal_messages

from bench.seconds_cost import texts
from bench.table import Pair, Report, parser_of
from data_prep.sources.synthetic_clips import PIXELS_PER_UNIT, UNITS, ClipSettings, draw_clip, draw_frame
from recipe.inputs.dataset import RowBuilder, make_builder
from recipe.inputs.families import FAMILIES
from recipe.inputs.native_video import NativeVideoProcessor
from recipe.inputs.pair_pictures import video_of
from recipe.inputs.prompts import load_prompts
from recipe.inputs.video_units import PAIRS
from recipe.rollouts.vllm import collapse_runs, llm_options
from recipe.tiny import TinyArguments, build_model, build_processor, build_tokenizer

FPS, TURNS, SAMPLES, TOKENS = 24, 3, 8, 32
LENGTHS = (10, 30, 60, 120)
PARTS = ("decode", "processor", "decode again, from the cache", "rollout with vLLM")
INPUTS = (("frames", 1), ("frames", 2), ("pairs", 2))
SIZES = {"48 x 48": TinyArguments(), "448 x 448": TinyArguments(frame_side=448, patch_size=14)}


def write_clip(path: Path, seconds: int, side: int) -> None:
    """Write moving shapes as H.264 with a key frame every 10 seconds, `side` x `side` pixels or larger."""
    clip = draw_clip(
        random.Random(seconds), ClipSettings(seconds=(seconds,), max_event=seconds, rates=(FPS,), motion="curve")
    )
    side = max(side, UNITS * PIXELS_PER_UNIT)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "g": str(10 * FPS)})
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for index in range(clip.num_frames):
            picture = Image.fromarray(draw_frame(clip, index)).resize((side, side))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
        container.mux(stream.encode(None))


def record_of(name: str, seconds: int, side: int) -> dict[str, Any]:
    """Return the record of a clip: a sentence about all of it."""
    side = max(side, UNITS * PIXELS_PER_UNIT)
    return {
        "id": name,
        "kind": "declarative",
        "query": "the red circle moves about",
        "video": name,
        "clip": [0.0, float(seconds)],
        "seconds": seconds,
        "width": side,
        "height": side,
        "span": [0, seconds - 1],
        "track": [],
        "label": "circle-1",
    }


def builder_of(folder: Path, args: TinyArguments, units: str, rate: int) -> RowBuilder:
    """Return what makes rows of an input."""
    return make_builder(
        folder,
        load_prompts("tiny"),
        FAMILIES["glm4v"],
        2 * args.patch_size,
        args.frame_side**2,
        rate=float(rate),
        units=units,
        completions=False,
    )


def processed(processor: Any, row: dict[str, Any]) -> Any:
    """Return the ids and pixels of a row's prompt."""
    messages = prepare_multimodal_messages(row["prompt"], images=row["images"])
    return processor.apply_chat_template(
        [messages], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )


def spent(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return CPU seconds and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def engine_of(folder: Path, model: Any, tokens: int, pictures: int) -> Any:
    """Return vLLM's engine on a checkpoint."""
    from vllm import LLM

    options = llm_options(SimpleNamespace(bf16=False, fp16=False), model, video=True)
    options["limit_mm_per_prompt"] = {"video": 1, "image": pictures}  # of one kind a prompt
    return LLM(str(folder), max_model_len=tokens, max_num_batched_tokens=tokens, disable_log_stats=True, **options)


def rollout(engine: Any, processor: Any, row: dict[str, Any], made: Any, units: str) -> int:
    """Sample answers to one prompt, with empty caches as after a weight sync; return the number of their tokens."""
    from vllm import SamplingParams

    engine.llm_engine.reset_encoder_cache()
    engine.reset_prefix_cache()
    ids = made["input_ids"][0].tolist()
    if units == PAIRS:
        prompt = {
            "prompt_token_ids": processor.unexpanded(ids),
            "multi_modal_data": {"video": [video_of(row["images"])]},
        }
    else:
        prompt = {
            "prompt_token_ids": collapse_runs(ids, processor.image_token_id),
            "multi_modal_data": {"image": row["images"]},
        }
    never = dict.fromkeys([processor.image_token_id, processor.video_token_id], -100.0)
    sampling = SamplingParams(n=SAMPLES, max_tokens=TOKENS, ignore_eos=True, logit_bias=never)
    outputs = engine.generate([prompt], sampling, use_tqdm=False)
    return sum(len(output.token_ids) for output in outputs[0].outputs)


def measure(size: str, args: TinyArguments, lengths: Sequence[int], turns: int, vllm: bool, report: Report) -> None:
    """Measure the inputs of one size of frames."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tokenizer = build_tokenizer(iter(texts() * 3))
        stock = build_processor(tokenizer, args)
        stock.save_pretrained(folder / "model")
        engine = None
        if vllm:
            model = build_model(tokenizer, args)
            model.save_pretrained(folder / "model")
            engine = engine_of(folder / "model", model, 4096, 2 * max(lengths))
        stock = AutoProcessor.from_pretrained(folder / "model")
        for seconds in lengths:
            name = f"{seconds}.mp4"
            write_clip(folder / name, seconds, args.frame_side)
            record = record_of(name, seconds, args.frame_side)
            found: dict[tuple[str, int], list[tuple[float, ...]]] = {each: [] for each in INPUTS}
            tokens = {}
            for _ in range(turns):
                for units, rate in INPUTS:
                    builder = builder_of(folder, args, units, rate)
                    processor = NativeVideoProcessor(stock) if units == PAIRS else stock
                    decode, row = spent(lambda builder=builder, record=record: builder.row(record))
                    process, made = spent(lambda processor=processor, row=row: processed(processor, row))
                    again, _row = spent(lambda builder=builder, record=record: builder.row(record))
                    times = [decode, process, again]
                    if engine is not None:
                        call = lambda p=processor, r=row, m=made, u=units: rollout(engine, p, r, m, u)  # noqa: E731
                        cpu, count = spent(call)
                        assert count == SAMPLES * TOKENS, count
                        times.append(cpu)
                    tokens[units, rate] = made["input_ids"].shape[1]
                    found[units, rate].append(tuple(times))
            usual, *others = INPUTS
            for units, rate in others:
                for place, what in enumerate(PARTS[: len(found[usual][0])]):
                    ours, peer = (
                        statistics.median(turn[place] for turn in found[each]) for each in ((units, rate), usual)
                    )
                    size_of = Pair(tokens[units, rate], tokens[usual])
                    report.add(
                        f"{what}, {seconds} s at {size}, {units}@{rate}",
                        *(1000 * ours, 1000 * peer, "CPU ms", "frames@1"),
                        tokens=size_of,
                    )


def main() -> None:
    """Measure both sizes; rollouts only where vLLM is installed, and only in the tiny recipe's size."""
    parser = parser_of(__doc__)
    parser.add_argument("--seconds", type=int, nargs="+", help=f"lengths of the clips: {LENGTHS}, quick {LENGTHS[:1]}")
    options = parser.parse_args()
    report = Report("native_video", options.rows)
    vllm = importlib.util.find_spec("vllm") is not None
    if vllm:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the engine in this process, as when training
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    else:
        report.leave_out("rollouts: make install-vllm, then .venv-vllm/bin/python -m bench.native_video")
    lengths, turns = options.seconds or LENGTHS[: 1 if options.quick else None], 1 if options.quick else TURNS
    for size, args in SIZES.items():
        measure(size, args, lengths, turns, vllm and args.frame_side == TinyArguments().frame_side, report)


if __name__ == "__main__":
    main()
