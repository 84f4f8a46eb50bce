"""Files as annotation tools write them, in each tool's own schema, and one import with all its outputs checked."""

import json
import tempfile
from pathlib import Path

import jsonschema

from data_prep.__main__ import main
from data_prep.records import read_records
from tests.helpers.layouts import SCHEMA, write

# What CVAT writes before the tracks: docs.cvat.ai, "XML annotation format", version 1.1.
CVAT_META = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>7</id>
      <name>street</name>
      <size>{size}</size>
      <mode>interpolation</mode>
      <overlap>5</overlap>
      <bugtracker></bugtracker>
      <created>2024-05-31 14:13:36.483219+03:00</created>
      <updated>2024-06-06 13:56:32.113705+03:00</updated>
      <start_frame>0</start_frame>
      <stop_frame>{stop}</stop_frame>
      <frame_filter></frame_filter>
      <labels>
        <label>
          <name>dog</name>
          <color>#c06060</color>
          <type>any</type>
          <attributes>
            <attribute>
              <name>sentence</name>
              <mutable>True</mutable>
              <input_type>text</input_type>
              <default_value></default_value>
              <values></values>
            </attribute>
          </attributes>
        </label>
      </labels>
      <segments>
        <segment><id>9</id><start>0</start><stop>{stop}</stop><url>http://localhost:8080/?id=9</url></segment>
      </segments>
      <owner><username>admin</username><email>admin@example.com</email></owner>
      <original_size><width>64</width><height>48</height></original_size>
      <source>{source}</source>
    </task>
    <dumped>2024-06-06 15:47:04.386866+03:00</dumped>
  </meta>
"""


def import_boxes(path, videos, *options):
    """Import a file and return (records by id, report, frame lines by id), all checked against the schema."""
    out = Path(tempfile.mkdtemp(dir=Path(path).parent)) / "tracks.jsonl"
    code = main(["boxes", str(path), "--videos", str(videos), "--out", str(out), *map(str, options)])
    report = json.loads(Path(f"{out}.report.json").read_text())
    assert code == (0 if report["written"] else 2)
    records = {record["id"]: record for record in read_records(out)} if code == 0 else {}
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for record in records.values():
        validator.validate(record)
    assert report["read"] == report["written"] + sum(report["dropped"].values())
    assert report["written"] == len(records)
    lines = [json.loads(line) for line in Path(f"{out}.frames.jsonl").read_text().splitlines()] if code == 0 else []
    return records, report, {line["id"]: line for line in lines}


def cvat_box(frame, box, *, outside=0, occluded=0, keyframe=1, sentence=None, tag="box", more=""):
    corners = " ".join(f'{name}="{edge:.2f}"' for name, edge in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True))
    text = "" if sentence is None else f'<attribute name="sentence">{sentence}</attribute>'
    flags = f'frame="{frame}" keyframe="{keyframe}" outside="{outside}" occluded="{occluded}"'
    return f'    <{tag} {flags} {corners} z_order="0"{more}>{text}</{tag}>\n'


def cvat(path, *tracks, source="street.mp4", size=60, stop=59):
    """Write a "CVAT for video 1.1" file; a track is its shapes, or (attributes of <track>, its shapes)."""
    text = CVAT_META.format(source=source, size=size, stop=stop)
    for number, track in enumerate(tracks):
        head, shapes = track if isinstance(track, tuple) else (f'id="{number}" label="dog" source="manual"', track)
        text += f"  <track {head}>\n{''.join(shapes)}  </track>\n"
    return write(path, text + "</annotations>\n")


def label_studio_keyframe(frame, box, *, enabled=True, rotation=0, rate=10):
    """Return a keyframe as Label Studio's editor serializes it; the box in per cent: x, y, width, height."""
    place = dict(zip(("x", "y", "width", "height"), box, strict=True))
    return place | {"frame": frame, "enabled": enabled, "rotation": rotation, "time": frame / rate}


def label_studio(path, *regions, video="/data/upload/1/0a1b2c3d-street.mp4", others=(), minimal=False):
    """Write an export of one task; a region is (label, keyframes)."""
    values = [
        {"framesCount": 60, "duration": 6.0, "sequence": list(keyframes), "labels": [label]}
        for label, keyframes in regions
    ]
    if minimal:
        task = {"video": video, "id": 11, "box": values, "annotator": 1, "annotation_id": 5, "lead_time": 9.5}
        return write(path, [task])
    results = [
        {
            "value": value,
            "id": f"region{number}",
            "from_name": "box",
            "to_name": "video",
            "type": "videorectangle",
            "origin": "manual",
        }
        for number, value in enumerate(values)
    ]
    annotation = {"id": 5, "completed_by": 1, "result": [*results, *others], "was_cancelled": False, "lead_time": 9.5}
    task = {"id": 11, "annotations": [annotation], "predictions": [], "data": {"video": video}, "project": 1}
    return write(path, [task])


def coco_video(path, boxes, *, video="street.mp4", **names):
    """Write CocoVID, which MMTracking documents: boxes as [(frame, instance, [x, y, width, height])].

    `names` rename fields, as TAO calls some otherwise.
    """
    images = [
        {
            "id": 100 + frame,
            "video_id": 1,
            names.get("frame_id", "frame_id"): frame,
            "file_name": f"street/{frame:06}.jpg",
            "width": 64,
            "height": 48,
        }
        for frame in sorted({frame for frame, _, _ in boxes})
    ]
    annotations = [
        {
            "id": number,
            "video_id": 1,
            "image_id": 100 + frame,
            "category_id": 3,
            names.get("instance_id", "instance_id"): instance,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
            "occluded": frame == 7,
            "caption": "the dog runs",
        }
        for number, (frame, instance, box) in enumerate(boxes, 1)
    ]
    videos = [{"id": 1, "name": video, "width": 64, "height": 48}]
    document = {
        "videos": videos,
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 3, "name": "dog"}],
    }
    if names:
        document["tracks"] = [{"id": 4, "category_id": 3, "video_id": 1}]
    return write(path, document)


def youtube_vis(path, segmentations, files, **more):
    """Write YouTube-VIS with one object; more are fields of its annotation."""
    annotation = {"id": 9, "video_id": 1, "category_id": 3, "iscrowd": 0, "segmentations": segmentations, "areas": []}
    video = {"id": 1, "width": 64, "height": 48, "length": len(files), "file_names": files, "license": 1}
    categories = [{"supercategory": "object", "id": 3, "name": "dog"}]
    document = {"info": {}, "licenses": [], "videos": [video], "categories": categories}
    return write(path, document | {"annotations": [annotation | more]})


def via_3(path, *metadata, attributes=None):
    """Write a VIA 3 project of street.mp4; metadata as (z, xy, av)."""
    named = {
        "1": {"aname": "caption", "anchor_id": "FILE1_Z2_XY0", "type": 1, "options": {}, "default_option_id": ""},
        "2": {
            "aname": "object", "anchor_id": "FILE1_Z1_XY1", "type": 4, "desc": "",
            "options": {"1": "dog", "2": "cat"}, "default_option_id": "",
        },
        "3": {"aname": "sentence", "anchor_id": "FILE1_Z1_XY1", "type": 1, "options": {}, "default_option_id": ""},
    }  # fmt: skip
    file = {"fid": "1", "fname": "street.mp4", "type": 4, "loc": 1, "src": ""}
    document = {
        "project": {"pid": "x", "rev": "1", "pname": "dogs", "data_format_version": "3.1.1", "vid_list": ["1"]},
        "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}, "ui": {}},
        "attribute": attributes or named,
        "file": {"1": file},
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": {
            f"1_{number:08}": {"vid": "1", "flg": 0, "z": z, "xy": xy, "av": av}
            for number, (z, xy, av) in enumerate(metadata)
        },
    }
    return write(path, document)


def via_2(path, pictures, *, whole=True):
    """Write a VIA 2 project, or only its annotations; pictures as {file name: [(shape, attributes)]}."""
    listed = {
        f"{name}-1": {
            "filename": name,
            "size": 1,
            "regions": [{"shape_attributes": shape, "region_attributes": attributes} for shape, attributes in regions],
            "file_attributes": {},
        }
        for name, regions in pictures.items()
    }
    project = {"_via_settings": {"ui": {}, "project": {"name": "dogs"}}, "_via_img_metadata": listed}
    return write(path, project | {"_via_attributes": {}, "_via_data_format_version": "2.0.10"} if whole else listed)
