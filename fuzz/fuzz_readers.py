"""Seeded random input for everything that reads texts and files from outside; standard tools only.

    python -m fuzz.fuzz_readers --inputs 100000 --seed 0             # all readers
    python -m fuzz.fuzz_readers --reader leaks --inputs 100000

Each input is a good example with a few changes. A reader may refuse it in its own way (a drop, a `RecordError`) or
read it; what it reads must hold what the reader promises. Anything else ends the run and shows the input. The slow
tests run 100,000 inputs of each reader, the fast ones some hundred.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from data_prep.convert import json_stream
from data_prep.convert.acceptance import is_sound
from data_prep.convert.audit import Audit
from data_prep.convert.building import scene_record, target_record, text_record
from data_prep.convert.items import Dropped, Item, Scene, Target, Text
from data_prep.convert.reasons import Drop
from data_prep.events import events_of, in_first_schema
from data_prep.leaks.checking import leaks_in
from data_prep.records import RecordError, read_records, validate_record
from data_prep.sources import activitynet, hcstvg, nextgqa, qa, vidstg
from data_prep.sources.got10k import meta_info, rate, resolution
from data_prep.sources.rows import BadFile, read_flags, read_rows
from data_prep.sources.seqinfo import sequence_info
from data_prep.sources.sot import visible_boxes
from data_prep.sources.vidor import VidOR
from recipe.inference.grounding import reasoning_of
from recipe.inputs.dataset import truth_columns
from stvg_rewards import parse_intervals

Example = Any
ODD_VALUES = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, 1e308, -1e-320, float("nan"), float("inf"), "", " ",
    "\xa0", "x", "../x", "/x", "\ud800", "a\0b", "5", [], {}, [[]], [None], {"a": 1},
]  # fmt: skip
ODD_TEXT = [
    "", " ", "\n", "\r\n", "\t", "\0", "\ufeff", "\ufdfa", "\ud800", "~", "1", "0", "-", ".", ",", ":", ";", "/", "%",
    "'", '"', "\\", "[", "]", "{", "}", "(", ")", "<think>", "</think>", "second", " s ", "to", "at", "1e999", "NaN",
    "null", "9" * 30, "٣", "half", "end", "frame", "x=", "bbox", "#", "=", "<<",
]  # fmt: skip


def changed_text(text: str, draw: random.Random) -> str:
    """Return a text with one to four changes: cut, doubled, repeated, or something odd put in."""
    for _ in range(draw.randint(1, 4)):
        begin = draw.randint(0, len(text))
        end = min(len(text), begin + draw.choice((0, 1, 3, 10, 40)))
        again = text[begin:end] * draw.choice((2, 3, 20))
        piece = draw.choice((draw.choice(ODD_TEXT), "", again, chr(draw.randint(0, 0x2FF))))
        text = text[:begin] + piece + text[end:]
    return text[:4000]


def changed_document(document: Any, draw: random.Random) -> Any:
    """Return a copy of a JSON document with one to three values, anywhere in it, replaced or removed."""
    document = copy.deepcopy(document)
    for _ in range(draw.randint(1, 3)):
        holder = document
        while isinstance(holder, (dict, list)) and holder:
            key = draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            if isinstance(holder[key], (dict, list)) and holder[key] and draw.random() < 0.8:
                holder = holder[key]
                continue
            if draw.random() < 0.2:
                del holder[key]
            else:
                holder[key] = copy.deepcopy(draw.choice(ODD_VALUES))
            break
    return document


# --- readers of text


TRACES = [
    "A man in red waits on the left; then, around 0:15, he jumps over the fence at [102, 310, 298, 644].",
    "From second twelve until the twenty-first second the dog barks; two thirds of the way through it ends.",
    "The first half shows a crowd. At the end of the clip, in the last few seconds, the player scores 2-1.",
    "x=120, y_min: 0.3; left edge at 430; about 3.5 s after the start, for roughly 4 seconds, 50% of the way across.",
]
ANSWERS = [
    "<think>\nHe jumps from second 3 to 8.\n</think>{\"3\": [{\"label\": \"a\", \"bbox_2d\": [1, 2, 3, 4]}]}",
    '[["00:05", "00:12"], [14.5, 20]]', '{"start": 5, "end": 12}', "from second 5 to second 12, and at 00:01:02.5",
    "The event happens between 3.0 and 7.25 seconds.", "<answer>12s - 15s</answer>",
]  # fmt: skip


def read_leaks(draw: random.Random) -> None:
    """Read a trace with the leak check, which ends and names its result."""
    text = changed_text(draw.choice(TRACES), draw)[:250]
    show(text)
    for leak in leaks_in(text, (3, 8), 20):
        assert leak.kind in ("coordinates", "length", "time", "part of the clip", "unread"), leak
        assert "\n" not in str(leak) and len(str(leak)) < 400


def read_reasoning(draw: random.Random) -> None:
    """Read the reasoning before an answer: a part of the text that holds no closing tag."""
    text = changed_text(draw.choice(ANSWERS), draw)
    show(text)
    found = reasoning_of(text)
    assert found in text and "</think>" not in found and found == found.strip()


def read_intervals(draw: random.Random) -> None:
    """Time spans: in order, without overlap, inside the clip."""
    text, duration = changed_text(draw.choice(ANSWERS), draw), draw.choice((None, 5.0, 30.0))
    show(text)
    ends = [end for interval in parse_intervals(text, duration=duration) for end in interval]
    assert ends == sorted(ends)
    assert not ends or (ends[0] >= 0 and ends[-1] <= (duration or float("inf")))


# --- track files


RECORDS = [
    {
        "schema": 1, "id": "a/0", "source": "a", "split": "train", "kind": "declarative", "video": "a.mp4",
        "clip": [0.0, 6.0], "fps": 25.0, "width": 64, "height": 48, "seconds": 6, "query": "the dog", "label": "dog-1",
        "span": [2, 3], "track": [{"second": 2, "box": [0.1, 0.5, 0.3, 0.8]}], "answer": None,
    },
    {
        "schema": 1, "id": "a/1", "source": "a", "split": "train", "kind": "scene", "video": "a.mp4",
        "clip": [0.0, 6.0], "fps": 25.0, "width": 64, "height": 48, "seconds": 6, "query": "all dogs", "label": None,
        "span": None, "track": None, "answer": None,
        "tracks": [{"label": "dog-1", "track": [{"second": 2, "box": [0.1, 0.5, 0.3, 0.8]}]}],
    },
    {
        "schema": 1, "id": "a/2", "source": "a", "split": "train", "kind": "qa", "video": "a.mp4", "clip": None,
        "fps": None, "width": None, "height": None, "seconds": None, "query": "?", "label": None, "span": None,
        "track": None, "answer": "a dog",
    },
    {
        "schema": 2, "id": "a/3", "source": "a", "split": "train", "kind": "tracking", "video": "a.mp4",
        "clip": [0.0, 6.0], "fps": 25.0, "width": 64, "height": 48, "seconds": 6, "query": "the dog", "label": "dog-1",
        "spans": [[0, 1.5], [2, 4]], "track": [{"second": 2, "box": [0.1, 0.5, 0.3, 0.8]}],
    },
    {
        "schema": 2, "id": "a/4", "source": "a", "split": "train", "kind": "declarative", "video": "a.mp4",
        "clip": [0.0, 6.0], "seconds": 6, "query": "the dog", "spans": [[0.25, 3]], "task": "temporal",
    },
    {
        "schema": 2, "id": "a/5", "source": "a", "split": "train", "kind": "declarative", "video": "a.mp4",
        "clip": [0.0, 6.0], "seconds": 6, "query": "the cat", "no_target": True,
    },
]  # fmt: skip


def read_tracks(draw: random.Random) -> None:
    """Read a track file: valid records, then at most one error of one line that names file and line."""
    record = draw.choice(RECORDS)
    if draw.random() < 0.5:
        data = dumped(changed_document(record, draw))
    else:
        data = changed_text(json.dumps(record), draw).encode("utf-8", "surrogatepass")
    path = scratch("t.jsonl", dumped(draw.choice(RECORDS)) + b"\n" + data + b"\n")
    try:
        for found in read_records(path):
            assert validate_record(found) == found
            # Whatever the schema, events are apart and inside the clip, and the rows' columns can be made of them.
            ends = [end for event in events_of(found) for end in event]
            assert ends == sorted(ends) and all(0 <= end < found["seconds"] for end in ends)
            if found["seconds"] is not None:
                truth_columns(found, (1000, 1000))
                in_first_schema(found)
    except RecordError as error:
        assert "t.jsonl:" in str(error) and "\n" not in str(error)


# --- converters: what one record of a source becomes


SEGMENT = {"begin_fid": 10, "end_fid": 49}
CLIPS: dict[str, Example] = {
    "hcstvg": {
        "bbox": [[10, 10, 20, 20]] * 3, "st_frame": 41, "img_num": 200, "caption": "he sits",
        "width": 100, "height": 50,
    },
    "vidstg": {
        "vid": "1000", "fps": 10, "frame_count": 60, "width": 100, "height": 50, "used_segment": SEGMENT,
        "temporal_gt": {"begin_fid": 25, "end_fid": 40},
        "subject/objects": [{"tid": 0, "category": "adult"}, {"tid": 1, "category": "adult"}],
        "captions": [{"description": "an adult walks", "type": "person", "target_id": 1}],
        "questions": [{"description": "who walks?", "type": "person", "target_id": 1}],
    },
    "activitynet": {"duration": 9, "timestamps": [[0, 4], [2, 8.5]], "sentences": ["a man runs", "he stops"]},
    "nextgqa": {
        "id": "1", "video": "a.mp4", "question": "?", "options": ["(A) x", "(B) y"], "answer": "(A)", "duration": 9,
        "glue": [[1, 2]],
    },
    "qa": {"video": "a.mp4", "question": "?", "options": ["x", "y"], "answer": "A", "id": 5},
}  # fmt: skip
BOXES: dict[str, Any] = {
    "trajectories": [
        [{"tid": 1, "bbox": {"xmin": 10, "ymin": 5, "xmax": 29, "ymax": 24}}] if 20 <= frame < 30 else []
        for frame in range(35)
    ]
}


def items_of(name: str, document: Any, draw: random.Random) -> Iterator[Item]:
    """Yield the items of one record of a source, as its converter does."""
    audit = Audit(name)
    if name == "hcstvg":
        yield hcstvg.item_of("a.mp4", document, "val")
    elif name == "vidstg":
        boxes = changed_document(BOXES, draw) if draw.random() < 0.3 else BOXES
        yield from vidstg.sentences(document, "val", 0, VidOR(scratch("1000.json", dumped(boxes))), audit)
    elif name == "activitynet":
        yield from activitynet.items_of("v", document, "a/0", "val", SETTINGS)
    elif name == "nextgqa":
        yield nextgqa.item_of(document, "val", 0)
    else:
        yield qa.item_of(dumped(document), 1, "val", Path("q.jsonl"))


def read_converters(draw: random.Random) -> None:
    """Convert an entry of a source: each item is a valid record, or a drop with a reason and one line."""
    name = draw.choice(list(CLIPS))
    # Through JSON, as files hold it: integers beyond 64 bits are read by the lenient parser.
    document = json.loads(json.dumps(changed_document(CLIPS[name], draw)))
    show((name, document))
    audit = Audit(name)
    for item in items_of(name, document, draw):
        assert isinstance(item, (Dropped, Target, Scene, Text))
        try:
            if isinstance(item, Text):
                record = text_record(name, item, SETTINGS, audit)
            elif isinstance(item, Scene):
                record = scene_record(name, item, SETTINGS, audit)
            elif isinstance(item, Target):
                record, _ = target_record(name, item, SETTINGS, audit)
            else:
                assert item.reason and "\n" not in item.detail
                continue
        except Drop as drop:
            assert "\n" not in str(drop)
            continue
        sound = is_sound(record)
        try:
            valid = validate_record(record)
            assert list(valid.items()) == list(record.items())
        except RecordError as error:
            assert "\n" not in str(error)
            assert not sound or "half of a surrogate pair" in str(error), "the writer meets those"


# --- annotation files of rows, flags, INI files and JSON in pieces


FILES = {
    "rows": "1,1,5,5,9,9,1,1,1\n2,1,5,5,9,9,1,1,1\n3,1,5.5,-5,9,9,1,1,0.5\n",
    "flags": "0\n0\n1\n0\n",
    "seqinfo": "[Sequence]\nname=a\nimDir=img1\nframeRate=10\nseqLength=4\nimWidth=50\nimHeight=20\n",
    "meta": "[METAINFO]\nanno_fps: 10Hz\nobject_class: bear\nresolution: (20, 10)\n",
    "list": '[{"a": 1}, {"b": [1, 2, "x, y]"]}, null, 5]',
    "object": '{"a": {"b": 1}, "c": [1, "}"], "c": 2}',
}


def read_annotations(draw: random.Random) -> None:
    """Read files of annotations, which may be refused by a line that names the file."""
    name = draw.choice(list(FILES))
    path = scratch("a.txt", changed_text(FILES[name], draw).encode("utf-8", "surrogatepass"))
    try:
        if name == "rows":
            rows = read_rows(path, 4, numbered=draw.random() < 0.5)
            boxes, _ = visible_boxes(path, rows)
            assert rows.ndim == 2 and (boxes.boxes[:, 2:] >= boxes.boxes[:, :2]).all()
        elif name == "flags":
            assert read_flags(path, 4).shape == (4,)
        elif name == "seqinfo":
            assert sequence_info(path).folder is not None
        elif name == "meta":
            found = meta_info(path)
            assert rate(found.get("anno_fps", ""), path) >= 0
            assert resolution(found.get("resolution", "")) is None or True
        elif name == "list":
            list(json_stream.read_list(path))
        else:
            dict(json_stream.read_object(path))
    except (BadFile, RecordError) as error:
        assert "a.txt" in str(error) or str(path.parent) in str(error), str(error)
        assert "\n" not in str(error)


READERS: dict[str, Callable[[random.Random], None]] = {
    "leaks": read_leaks,
    "reasoning": read_reasoning,
    "intervals": read_intervals,
    "tracks": read_tracks,
    "converters": read_converters,
    "annotations": read_annotations,
}
SETTINGS = argparse.Namespace(
    size=None,
    fps=10.0,
    video_root=None,
    annotations=Path("none"),
    aggregation="mean",
    seed=0,
    extension="mp4",
    task="caption",
)
_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
_shown: list[Any] = [None]


def show(example: Any) -> None:
    """Remember what is read, for the message where it goes wrong."""
    _shown[0] = example


def scratch(name: str, data: bytes) -> Path:
    """Return the path of a file that holds these bytes."""
    show(data)
    path = Path(_FOLDER.name) / name
    path.write_bytes(data)
    return path


def dumped(document: Any) -> bytes:
    """Return a document as JSON, with whatever only the standard library writes."""
    try:
        return orjson.dumps(document)
    except TypeError:
        return json.dumps(document).encode()


def run(reader: str, inputs: int, seed: int) -> float:
    """Read so many inputs; return the CPU seconds that it took.

    Raises:
        AssertionError: Something else came of an input than the reader promises; the message shows the input.
    """
    began = time.process_time()
    for number in range(inputs):
        try:
            READERS[reader](random.Random(f"{seed}/{reader}/{number}"))
        except Exception as error:
            raise AssertionError(f"{reader}, seed {seed}, input {number}: {error!r} on {_shown[0]!r:.2000}") from error
    return time.process_time() - began


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reader", choices=READERS, help="only this one")
    parser.add_argument("--inputs", type=int, default=100_000, help="of each reader")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for reader in [args.reader] if args.reader else READERS:
        print(f"{reader}: {args.inputs} inputs, {run(reader, args.inputs, args.seed):.1f} CPU s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
