"""Small annotation files in the layouts of the data sets, and one conversion with all its outputs checked."""

import json
from pathlib import Path

import jsonschema
import numpy as np
from PIL import Image

from data_prep.__main__ import main
from data_prep.records import read_records

SCHEMA = json.loads((Path(__file__).parents[2] / "data_prep/record.schema.json").read_text())


def convert(source, annotations, out, *options):
    """Convert once and return (records by id, report, frame lines by id), all checked against the schema.

    One that drops everything is an error and writes the report alone.
    """
    argv = [source, "--annotations", str(annotations), "--out", str(out), *map(str, options)]
    code = main(argv)
    report = json.loads(Path(f"{out}.report.json").read_text())
    assert code == (0 if report["written"] else 2)
    assert Path(out).exists() == (report["written"] > 0)
    records = {record["id"]: record for record in read_records(out)} if code == 0 else {}
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for record in records.values():
        validator.validate(record)
    assert report["read"] == report["written"] + sum(report["dropped"].values())
    assert report["written"] == len(records)
    assert report["dropped"].keys() == report["examples"].keys()
    frames = Path(f"{out}.frames.jsonl")
    lines = [json.loads(line) for line in frames.read_text().splitlines()] if frames.exists() else []
    return records, report, {line["id"]: line for line in lines}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def vidstg_record(**others):
    return {
        "vid": "1000",
        "fps": 10,
        "frame_count": 60,
        "width": 100,
        "height": 50,
        "used_segment": {"begin_fid": 10, "end_fid": 49},
        "temporal_gt": {"begin_fid": 25, "end_fid": 40},
        "subject/objects": [{"tid": 0, "category": "adult"}, {"tid": 1, "category": "adult"}],
        "captions": [{"description": "an adult\xa0walks ", "type": "person", "target_id": 1}],
        "questions": [{"description": "who walks?", "type": "person", "target_id": 1}],
    } | others


def vidor(root, frames=60):
    box = {"xmin": 10, "ymin": 5, "xmax": 29, "ymax": 24}
    listed = [[{"tid": 1, "bbox": box, "generated": 1}] if 20 <= f < 50 and f != 30 else [] for f in range(frames)]
    return write(root / "training" / "0001" / "1000.json", {"version": "VERSION 1.0", "trajectories": listed})


def hcstvg_record(**others):
    return {
        "bbox": [[10, 10, 20, 20]] * 30,
        "st_frame": 41,
        "img_num": 200,
        "caption": "the man sits down",
        "width": 100,
        "height": 50,
        "st_time": 4.0,
        "ed_time": 9.0,
    } | others


def png(path, ids, mode="P"):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(ids, np.uint8), "L")
    if mode == "P":
        picture = picture.convert("P")
        picture.putdata([int(v) for v in np.asarray(ids).ravel()])
    picture.save(path)


def mask(height=20, width=40, **objects):
    ids = np.zeros((height, width), np.uint8)
    for name, (left, top, right, bottom) in objects.items():
        ids[top:bottom, left:right] = int(name[1:])
    return ids


def sav_file(path, rles, size=(20, 40), **others):
    height, width = size
    video = {"video_id": "sav_1", "video_width": width, "video_height": height, "video_frame_count": 12.0}
    return write(path, video | {"masklet": [[rle] for rle in rles], "masklet_id": [0]} | others)


def rle_of(ids):
    from pycocotools import mask as coco

    encoded = coco.encode(np.asfortranarray(ids.astype(np.uint8)))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


def vuestg(root, tubes=None, queries=None, videos="v1,20.5"):
    """VUE-STG's three files: by default one query of three seconds with a gap."""
    queries = ["q1,a dog,v1"] if queries is None else queries
    tubes = [f"q1,{ms},0.1,0.1,0.2,0.3,0.4" for ms in (3000, 4000, 7000)] if tubes is None else tubes
    write(root / "query.csv", "\n".join(["query_id,query_text,video_id", *queries]) + "\n")
    write(root / "video.csv", f"video_id,video_duration\n{videos}\n")
    return write(root / "tubes.csv", "\n".join(["query_id,time_ms,time_normalized,x0,y0,x1,y1", *tubes]) + "\n")
