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
