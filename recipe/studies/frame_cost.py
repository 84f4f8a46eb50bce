"""Measure what second-level tracks save and lose against frame-level ones on the same clips (figure 1, section 3.7).

Frame level means every frame in the prompt and a box for every frame of the event in the answer. What is lost is the
ceiling: the best that a second-level answer can score on frames.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image
from trl.data_utils import prepare_multimodal_messages

from data_prep.records import Record, State
from recipe.evaluation.protocols import FrameTruth, ceiling
from recipe.evaluation.scores import true_track
from recipe.inputs.dataset import RowBuilder, completion_text
from recipe.inputs.prompts import question, user_message

LATENCY_ROUNDS = 2  # the faster one counts


def prompt_inputs(processor: Any, record: Record, builder: RowBuilder, rate: float, device: Any = "cpu") -> Any:
    """Return the model's inputs for a record at `rate` frames a second.

    The frames are blank, because only their number counts.
    """
    starts = [index / rate for index in range(max(1, round(record["seconds"] * rate)))]
    size = builder.frame_size(record)
    text = question(record, builder.prompts, builder.control_tokens, builder.shown(size))
    message = user_message(starts, text)
    frames = [Image.new("RGB", size)] * len(starts)
    return processor.apply_chat_template(
        [prepare_multimodal_messages([message], images=frames)],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    ).to(device)


def answer_tokens(processor: Any, record: Record, builder: RowBuilder) -> int:
    """Return the number of tokens of a record's true answer without reasoning."""
    scale = builder.family.box_scale(builder.frame_size(record))
    text = completion_text({**record, "reasoning": None}, builder.family, scale)
    return len(processor.tokenizer(text)["input_ids"])


def latency(model: Any, inputs: Any, tokens: int) -> float:
    """Measure the seconds that one greedy answer of exactly `tokens` tokens takes."""
    never = [model.config.image_token_id, model.config.video_token_id]
    best = float("inf")
    for _ in range(LATENCY_ROUNDS):
        begin = time.perf_counter()
        model.generate(**inputs, do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens, suppress_tokens=never)
        best = min(best, time.perf_counter() - begin)
    return best


def frame_record(record: Record, truth: FrameTruth) -> Record:
    """Return the record as a frame-level method would state it: a state for every frame of the event."""
    states: list[State] = [{"second": frame, "box": list(box)} for frame, box in sorted(truth.boxes.items())]
    return {**record, "track": states, "span": [truth.begin, truth.end - 1]}


def synthetic_truth(record: Record, annotation: Mapping[str, Any]) -> FrameTruth:
    """Return a synthetic record's frame annotation.

    The last part of the record's id is the object's index in the clip.
    """
    target = annotation["objects"][int(record["id"].rpartition("/")[2])]
    width, height = annotation["width"], annotation["height"]
    boxes = {
        target["begin_frame"] + offset: (x / width, y / height, (x + w) / width, (y + h) / height)
        for offset, (x, y, w, h) in enumerate(target["boxes_xywh"])
    }
    return FrameTruth(annotation["fps"], target["begin_frame"], target["end_frame"], boxes, annotation["frames"])


def compare(
    records: Sequence[Record],
    truths: Mapping[str, FrameTruth],
    builder: RowBuilder,
    processor: Any,
    model: Any,
    *,
    timed: int = 3,
) -> dict[str, Any]:
    """Return the mean cost of a clip at both levels, and the best score that second-level answers can reach on frames.

    Args:
        truths: id -> frame annotation, one for each record.
        timed: clips whose latency is measured, taken at even steps of their frame rate.

    Returns:
        `second` and `frame`: prompt and answer tokens; `fps`: mean frames a second; `latency`: frame / second, one
        ratio a timed clip with its frames a second; `ceiling`: m_tIoU and m_vIoU on frames of the best second-level
        answers.
    """
    levels: dict[str, list[tuple[int, int]]] = {"second": [], "frame": []}
    for record in records:
        truth = truths[record["id"]]
        for level, rate, stated in (("second", 1.0, record), ("frame", truth.fps, frame_record(record, truth))):
            prompt = prompt_inputs(processor, record, builder, rate)["input_ids"].shape[1]
            levels[level].append((prompt, answer_tokens(processor, stated, builder)))
    best = [ceiling("frame", true_track(record).boxes, truths[record["id"]]) for record in records]
    order = sorted(range(len(records)), key=lambda index: truths[records[index]["id"]].fps)
    chosen = [order[(2 * step + 1) * len(order) // (2 * timed)] for step in range(timed)] if timed else []
    ratios = []
    for index in chosen:
        record, fps = records[index], truths[records[index]["id"]].fps
        spent = {
            level: latency(
                model, prompt_inputs(processor, record, builder, rate, model.device), levels[level][index][1]
            )
            for level, rate in (("second", 1.0), ("frame", fps))
        }
        ratios.append({"fps": fps, "ratio": spent["frame"] / spent["second"]})
    n = len(records)
    return {
        level: {"prompt_tokens": sum(p for p, _ in pairs) / n, "answer_tokens": sum(a for _, a in pairs) / n}
        for level, pairs in levels.items()
    } | {
        "fps": sum(truths[record["id"]].fps for record in records) / n,
        "latency": ratios,
        "ceiling": {"m_tIoU": sum(s.tIoU for s in best) / n, "m_vIoU": sum(s.vIoU for s in best) / n},
        "n": n,
    }
