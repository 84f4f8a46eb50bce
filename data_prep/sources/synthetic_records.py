"""The synthetic source's records: what the drawn clips' annotations are asked and answered with.

By default each sentence has one target and a box a second. A shape that leaves and comes back gives a sentence two
events; shares of the sentences ask for a shape that the clip lacks, or state times only (`Others`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_prep.aggregate import aggregate_frames
from data_prep.events import in_words
from data_prep.record_shape import EVENTS_VERSION, TEMPORAL
from data_prep.records import SCHEMA_VERSION
from data_prep.seconds import seconds_of, span_of_frames
from data_prep.sources.synthetic_clips import COLOURS, SHAPES

# Wordings of a sentence: {colour} and {shape} name the target; an interrogative one leaves the shape to be seen.
DECLARATIVE = (
    "the {colour} {shape} moves about",
    "a {colour} {shape} is on screen",
    "the {colour} {shape} can be seen",
)
INTERROGATIVE = (
    "which {colour} shape moves about?",
    "what {colour} shape is on screen?",
    "which {colour} shape can be seen?",
)
TRACKING = ("{colour} {shape}", "the {colour} {shape}")


def object_states(
    annotation: dict[str, Any], target: dict[str, Any], method: str
) -> tuple[list[tuple[int, int]], list[dict[str, Any]]]:
    """Return (events, track) of one object: (first, last) seconds, and its frame boxes as normalised states."""
    width, height, fps = annotation["width"], annotation["height"], annotation["fps"]
    boxes = {
        target["begin_frame"] + offset: (box[0] / width, box[1] / height, (box[0] + box[2]) / width,
                                         (box[1] + box[3]) / height)
        for offset, box in enumerate(target["boxes_xywh"])
        if box is not None
    }  # fmt: skip
    by_second = aggregate_frames(boxes, fps, method)
    times = target.get("events") or [(target["begin_frame"], target["end_frame"])]
    events = [span_of_frames(begin, end, fps) for begin, end in times]
    return events, [{"second": k, "box": list(box)} for k, box in sorted(by_second.items())]


class Others:
    """Draw which sentences have no target, and of which only the times are told; none by default.

    Args:
        seed: of the draw, which no other draw depends on.
        no_target, temporal: shares of the sentences, 0 to 1 together.
    """

    def __init__(self, seed: str = "", no_target: float = 0.0, temporal: float = 0.0) -> None:
        self._rng, self._no_target, self._temporal = random.Random(seed), no_target, temporal

    def changed(self, record: dict[str, Any], wordings: Sequence[str], present: Sequence[str]) -> dict[str, Any]:
        """Return a record of a sentence as it is, without its boxes, or as one that asks for what the clip lacks.

        Args:
            wordings: of a sentence of its kind.
            present: colours of the clip.
        """
        chance = self._rng.random()
        missing = sorted(set(COLOURS) - set(present))
        common = {name: value for name, value in record.items() if name not in ("span", "spans", "track")}
        if chance < self._no_target and missing:
            absent = {"colour": self._rng.choice(missing), "shape": self._rng.choice(SHAPES)}
            record = common | {"schema": EVENTS_VERSION, "no_target": True, "label": f"{absent['shape']}-1"}
            record["query"] = self._rng.choice(wordings).format(**absent)
            return record | ({"reasoning": nothing(absent)} if "reasoning" in common else {})
        if self._no_target <= chance < self._no_target + self._temporal:
            # The trace says when and whom: it would teach an answer that has no boxes.
            common.pop("reasoning", None)
            spans = record.get("spans") or [[record["span"][0], record["span"][1] + 1]]
            return common | {"schema": EVENTS_VERSION, "spans": spans, "task": TEMPORAL}
        return record


def records_of(
    annotation: dict[str, Any],
    split: str,
    use: str,
    rng: random.Random,
    method: str = "middle",
    others: Others | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the records of one annotated clip.

    Args:
        use: "general" (tracking prompts and questions, for CPT), "ground" (sentences with reasoning, for SFT and
            GRPO), "test" (one sentence a clip, so that samples are independent), "scene" (all objects at once, for
            tracking studies) or "questions" (one question a clip, nothing else).
        method: box aggregation; "middle" states the position that the 1-fps frame shows, "mean" that of the whole
            second, as real sources do.
        others: which sentences of "ground" and "test" have no target or no boxes; None: none.
    """
    name = Path(annotation["video"]).stem
    seconds = seconds_of(annotation["frames"], annotation["fps"])
    common = {
        "schema": SCHEMA_VERSION,
        "source": "synthetic",
        "split": split,
        "video": annotation["video"],
        "clip": [0.0, annotation["frames"] / annotation["fps"]],
        "fps": annotation["fps"],
        "width": annotation["width"],
        "height": annotation["height"],
        "seconds": seconds,
    }
    targets = annotation["objects"]
    if use == "scene":
        yield common | scene_of(annotation, f"synthetic/{split}/{name}/scene", method)
        return
    if use == "questions":
        yield common | question_of(targets, f"synthetic/{split}/{name}/qa", rng)
        return
    for index, target in enumerate(targets[:1] if use == "test" else targets):
        events, track = object_states(annotation, target, method)
        kind: str
        wordings: tuple[str, ...]
        if use == "general":
            kind, wordings = "tracking", TRACKING
        else:
            kind, wordings = rng.choice((("declarative", DECLARATIVE), ("interrogative", INTERROGATIVE)))
        record = common | {
            "id": f"synthetic/{split}/{name}/{index}",
            "kind": kind,
            "query": rng.choice(wordings).format(**target),
            "label": f"{target['shape']}-1",
            "span": list(events[0]),
            "track": track,
            "answer": None,
        }
        if len(events) > 1:
            record |= {"schema": EVENTS_VERSION, "span": None, "spans": [[first, last + 1] for first, last in events]}
        if use == "ground":
            rivals = [f"{item['colour']} {item['shape']}" for item in targets if item is not target]
            record |= {"reasoning": reasoning(target, events), "distractors": len(rivals), "others": rivals}
        if others is not None and use != "general":
            record = others.changed(record, wordings, [item["colour"] for item in targets])
        yield record
    if use == "general":
        yield common | question_of(targets, f"synthetic/{split}/{name}/qa", rng)


def scene_of(annotation: dict[str, Any], name: str, method: str) -> dict[str, Any]:
    """Return the fields of a scene record: each object has its own label, numbered in order of appearance."""
    tracks = []
    in_order = sorted(annotation["objects"], key=lambda item: item["begin_frame"])
    for number, target in enumerate(in_order, 1):
        tracks.append({"label": f"shape-{number}", "track": object_states(annotation, target, method)[1]})
    return {"id": name, "kind": "scene", "query": "every shape", "label": None, "span": None, "track": None} | {
        "tracks": tracks,
        "answer": None,
    }


def reasoning(target: dict[str, Any], events: Sequence[tuple[int, int]]) -> str:
    """Return a short trace without coordinates: when the event happens, then what to follow."""
    # One event is worded "from ... to" even where it is a second long: published digits come from these words.
    when = in_words(events) if len(events) > 1 else f"from second {events[0][0]} to {events[0][1]}"
    return f"{when} the {target['colour']} {target['shape']} moves"


def nothing(absent: dict[str, Any]) -> str:
    """Return a short trace that says that the clip does not show what is asked for."""
    return f"no {absent['colour']} {absent['shape']} moves"


def question_of(objects: list[dict[str, Any]], name: str, rng: random.Random) -> dict[str, Any]:
    """Return the fields of a question record."""
    query, answer = general_question(objects, rng)
    empty = {"label": None, "span": None, "track": None}
    return empty | {"id": name, "kind": "qa", "query": query, "answer": answer}


def general_question(objects: list[dict[str, Any]], rng: random.Random) -> tuple[str, str]:
    """Return a question about colour, count or order, and its answer."""
    topic = rng.choice(("colour", "count", "order"))
    if topic == "colour":
        shapes = [item["shape"] for item in objects]
        single = [item for item in objects if shapes.count(item["shape"]) == 1]
        if single:
            item = rng.choice(single)
            return f"what colour is the {item['shape']}?", item["colour"]
    if topic == "order" and len(objects) > 1:
        first, second = sorted(objects, key=lambda item: item["begin_frame"] / 1.0)[:2]
        if first["begin_frame"] != second["begin_frame"]:
            return "which colour comes first?", first["colour"]
    return "how many shapes are there?", str(len(objects))
