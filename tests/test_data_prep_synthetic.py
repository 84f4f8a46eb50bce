"""The synthetic source: its tracks tell the truth about real files, and bad settings are one line."""

import hashlib
import json
import os
import random
import signal
import sys
import time

import av
import numpy as np
import pytest

from data_prep.__main__ import main
from data_prep.events import events_of, has_no_target, is_temporal
from data_prep.records import read_records
from data_prep.sources import synthetic
from data_prep.sources.synthetic_clips import BACKGROUND, COLOURS, PIXELS_PER_UNIT, UNITS, ClipSettings, draw_clip
from data_prep.stages import read_stamp
from tests.helpers import forked
from tests.helpers.processes import children

SIDE = UNITS * PIXELS_PER_UNIT
SPLITS = ("general", "ground", "test")


def annotations_of(folder, split):
    with (folder / "annotations" / f"{split}.jsonl").open() as stream:
        return [json.loads(line) for line in stream]


def pictures_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


@pytest.mark.parametrize("split", SPLITS)
def test_drawn_pixels_lie_inside_the_boxes_of_their_frame(tiny_data, split):
    """Read back from the encoded file, frame by frame: nothing is drawn outside, and every box is filled."""
    boxes = 0
    for annotation in annotations_of(tiny_data, split):
        pictures = pictures_of(tiny_data / "videos" / annotation["video"])
        assert len(pictures) == annotation["frames"]
        for number, picture in enumerate(pictures):
            outside = np.ones((SIDE, SIDE), bool)
            for item in annotation["objects"]:
                if not item["begin_frame"] <= number < item["end_frame"]:
                    continue
                x, y, width, height = item["boxes_xywh"][number - item["begin_frame"]]
                assert x >= 0
                assert y >= 0
                assert x + width <= SIDE
                assert y + height <= SIDE
                # Chroma is subsampled by two and compressed: a shape bleeds a little over its edge.
                outside[max(0, y - 3) : y + height + 3, max(0, x - 3) : x + width + 3] = False
                boxes += 1
            away = np.abs(picture - BACKGROUND).sum(-1)
            assert away[outside].max(initial=0) < 60, (annotation["video"], number)
    assert boxes > 50


@pytest.mark.parametrize("split", SPLITS)
def test_the_middle_frame_of_a_second_fills_the_box_of_its_record(tiny_data, split):
    """The colour's pixels in the frame nearest to k + 0.5 reach all four sides of the box that second k states."""
    annotations = {annotation["video"]: annotation for annotation in annotations_of(tiny_data, split)}
    checked = 0
    for record in read_records(tiny_data / f"{split}.jsonl"):
        if not record["track"]:
            continue
        annotation = annotations[record["video"]]
        target = annotation["objects"][int(record["id"].rsplit("/", 1)[1])]
        pictures = pictures_of(tiny_data / "videos" / record["video"])
        for state in record["track"]:
            number = min(
                range(target["begin_frame"], target["end_frame"]),
                key=lambda frame: (abs(frame / annotation["fps"] - state["second"] - 0.5), frame),
            )
            alike = np.abs(pictures[number] - COLOURS[target["colour"]]).sum(-1) < 150
            ys, xs = np.nonzero(alike)
            found = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            assert np.abs(np.array(found) / SIDE - state["box"]).max() <= 4 / SIDE, (record["id"], state)
            checked += 1
    assert checked >= 5


def test_records_agree_with_their_annotations(tiny_data):
    for split in SPLITS:
        videos = {annotation["video"] for annotation in annotations_of(tiny_data, split)}
        records = list(read_records(tiny_data / f"{split}.jsonl"))
        assert {record["video"] for record in records} == videos
        assert len({record["id"] for record in records}) == len(records)
        for record in records:
            assert (tiny_data / "videos" / record["video"]).is_file()
            if record["track"]:
                seconds = [state["second"] for state in record["track"]]
                assert record["span"] == [seconds[0], seconds[-1]]
    kinds = {record["kind"] for split in SPLITS for record in read_records(tiny_data / f"{split}.jsonl")}
    assert kinds == {"tracking", "qa", "declarative", "interrogative"}
    assert len(list(read_records(tiny_data / "test.jsonl"))) == 5  # one sentence a clip


SMALL = """
seed: 1
clip: {seconds: [2], min_event: 1, max_event: 2, rates: [8]}
splits:
  a: {clips: 3, use: ground}
"""


def make(folder, text=SMALL, *words):
    folder.mkdir(exist_ok=True)
    (folder / "data.yaml").write_text(text)
    return main(["synthetic", "--config", str(folder / "data.yaml"), "--out", str(folder / "data"), *words])


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "stamp.json"
    }


def test_the_same_seed_gives_the_same_bytes_and_more_clips_keep_the_first(tmp_path):
    assert make(tmp_path / "one") == make(tmp_path / "two") == 0
    one = contents(tmp_path / "one" / "data")
    assert one == contents(tmp_path / "two" / "data")
    assert make(tmp_path / "more", SMALL.replace("clips: 3", "clips: 4")) == 0
    more = contents(tmp_path / "more" / "data")
    assert len(more) == len(one) + 1
    assert all(more[name] == data for name, data in one.items() if name.endswith(".mp4"))
    assert make(tmp_path / "other", SMALL.replace("seed: 1", "seed: 2")) == 0
    assert contents(tmp_path / "other" / "data") != one


def test_the_settings_of_today_draw_the_clips_of_yesterday():
    """One digest over the boxes of 40 clips: published digits come from these clips."""
    known = hashlib.sha256()
    for index in range(40):
        clip = draw_clip(random.Random(f"0/test/{index}"), ClipSettings())
        for shape in clip.shapes:
            frames = range(shape.first_frame, shape.end_frame)
            known.update(repr([clip.rate, *(shape.box_at(frame / clip.rate) for frame in frames)]).encode())
    assert known.hexdigest()[:16] == "88a4a79aeefea3b6"


CURVES = """
seed: 1
box: mean
clip: {seconds: [3], min_event: 2, max_event: 3, max_edge: 0.2, motion: curve, turns: 3.5, rates: [12, 20]}
splits:
  a: {clips: 6, use: ground}
"""


def test_mean_boxes_are_those_of_all_drawn_frames(tmp_path):
    """A second's true box is the mean of what its frames show, which no single frame need show."""
    assert make(tmp_path, CURVES) == 0
    annotations = {annotation["video"]: annotation for annotation in annotations_of(tmp_path / "data", "a")}
    off = []
    for record in read_records(tmp_path / "data/a.jsonl"):
        annotation = annotations[record["video"]]
        target = annotation["objects"][int(record["id"].rsplit("/", 1)[1])]
        assert [state["second"] for state in record["track"]] == list(range(record["span"][0], record["span"][1] + 1))
        for state in record["track"]:
            first = state["second"] * annotation["fps"]
            shown = [
                box
                for frame, box in enumerate(target["boxes_xywh"], target["begin_frame"])
                if first <= frame < first + annotation["fps"]
            ]
            x, y, width, height = np.mean(shown, axis=0) / SIDE
            assert state["box"] == pytest.approx([x, y, x + width, y + height])
            for moment in (0.25, 0.5, 0.75):  # each lies on a frame, and every second of an event shows its shape
                assert (moment * annotation["fps"]).is_integer()
                frame = first + int(moment * annotation["fps"])
                seen = target["boxes_xywh"][frame - target["begin_frame"]]
                assert target["begin_frame"] <= frame < target["end_frame"]
                off.append(np.abs(np.array(seen[:2]) / SIDE - [x, y]).max())
    assert len(off) >= 30
    assert np.mean(off) > 2 / SIDE, "shapes move within the second"


def test_curves_stay_inside_and_have_no_jumps():
    settings = ClipSettings(motion="curve", max_step=36, turns=3.5, rates=(24,))
    shapes = [shape for index in range(30) for shape in draw_clip(random.Random(index), settings).shapes]
    assert len(shapes) >= 30
    for shape in shapes:
        path = np.array([shape.box_at(frame / 24)[:2] for frame in range(shape.first_frame, shape.end_frame)])
        assert path.min() >= 0
        assert path.max() + shape.size * PIXELS_PER_UNIT <= SIDE
        # 36 units a second in 24 frames are 3 pixels; a cubic's slope is at most 1.5 times its chord's and more bends.
        assert np.abs(np.diff(path, axis=0)).max() <= 9
        assert np.ptp(path, axis=0).max() > 4


def test_shapes_on_curves_never_cover_each_other():
    settings = ClipSettings(motion="curve", min_objects=2, rates=(12,))
    clips = [draw_clip(random.Random(index), settings) for index in range(40)]
    pairs = [clip.shapes for clip in clips if len(clip.shapes) == 2]
    assert len(pairs) >= 5
    for a, b in pairs:
        for frame in range(max(a.first_frame, b.first_frame), min(a.end_frame, b.end_frame)):
            (ax, ay, a_side, _), (bx, by, b_side, _) = a.box_at(frame / 12), b.box_at(frame / 12)
            assert ax >= bx + b_side or bx >= ax + a_side or ay >= by + b_side or by >= ay + a_side


MIXED = """
seed: 3
clip: {seconds: [8], min_objects: 1, max_objects: 2, min_event: 3, max_event: 7, rates: [8, 25], pauses: 0.6}
splits:
  a: {clips: 40, use: ground, no_target: 0.25, temporal: 0.25}
"""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Folder of sentences with one event, with two, without a target and without boxes."""
    folder = tmp_path_factory.mktemp("mixed")
    assert make(folder, MIXED) == 0
    return folder / "data"


def test_sentences_of_every_kind_are_made_where_they_are_asked_for(mixed):
    records = list(read_records(mixed / "a.jsonl"))
    absent = [record for record in records if has_no_target(record)]
    temporal = [record for record in records if is_temporal(record)]
    for share in (absent, temporal):
        assert 0.12 < len(share) / len(records) < 0.4
    several = [record for record in records if len(events_of(record)) > 1]
    assert {is_temporal(record) for record in several} == {True, False}
    assert {record["schema"] for record in records if record["track"] and record not in several} == {1}
    annotations = {annotation["video"]: annotation for annotation in annotations_of(mixed, "a")}
    for record in absent:
        colours = [item["colour"] for item in annotations[record["video"]]["objects"]]
        assert not any(colour in record["query"] for colour in colours)
        assert any(f"no {colour} " in record["reasoning"] for colour in COLOURS if colour in record["query"])
        assert record["label"].endswith("-1")
    assert not any("reasoning" in record for record in temporal), "a trace comes with boxes"


def test_two_events_are_when_the_shape_is_drawn(mixed):
    """Read back from the encoded files: the colour is seen in each second of the events and in no other."""
    annotations = {annotation["video"]: annotation for annotation in annotations_of(mixed, "a")}
    checked = 0
    for record in read_records(mixed / "a.jsonl"):
        if len(events_of(record)) < 2:
            continue
        annotation = annotations[record["video"]]
        target = annotation["objects"][int(record["id"].rsplit("/", 1)[1])]
        listed = [second for first, last in events_of(record) for second in range(first, last + 1)]
        pictures = pictures_of(mixed / "videos" / record["video"])
        for second in range(record["seconds"]):
            shown = pictures[int((second + 0.5) * annotation["fps"])]
            alike = np.abs(shown - COLOURS[target["colour"]]).sum(-1) < 150
            assert (alike.sum() > 20) == (second in listed), (record["id"], second)
        if record["track"]:
            assert [state["second"] for state in record["track"]] == listed
        assert record["seconds"] == 8 and all(span[1] - span[0] >= 1 for span in record["spans"])
        checked += 1
    assert checked >= 5


def test_the_tiny_wordings_are_those_of_every_kind_of_sentence(mixed, tmp_path):
    words = ["traces", "--tracks", str(mixed / "a.jsonl"), "--out", str(tmp_path), "--prompts", "traces-tiny"]
    assert main(words) == 0
    rows = list(read_records(tmp_path / "traces.jsonl"))
    kept = [record for record in read_records(mixed / "a.jsonl") if not is_temporal(record)]
    assert [row["id"] for row in rows] == [record["id"] for record in kept]
    for row, record in zip(rows, kept, strict=True):
        # A single second is worded otherwise by the synthetic source, whose published digits come from its words.
        if "moves" in row["reasoning"] and not row["reasoning"].startswith("in second"):
            assert row["reasoning"] == record["reasoning"]
    reported = json.loads((tmp_path / "report.json").read_text())
    assert reported["skipped"] > 0 and reported["verdicts"] == {"accepted": len(rows)}


def test_it_is_made_once_and_again_when_a_setting_changes(tmp_path, capsys):
    assert make(tmp_path) == 0
    before = (tmp_path / "data" / "a.jsonl").stat().st_mtime_ns
    assert make(tmp_path) == 0
    assert (tmp_path / "data" / "a.jsonl").stat().st_mtime_ns == before
    assert "up to date" in capsys.readouterr().err
    assert make(tmp_path, SMALL, "--scale", "0.4") == 2
    assert "holds another run, which differs in scale 1.0 -> 0.4; nothing was touched" in capsys.readouterr().err
    assert (tmp_path / "data" / "a.jsonl").stat().st_mtime_ns == before
    assert make(tmp_path, SMALL, "--scale", "0.4", "--overwrite-output-dir") == 0
    assert (tmp_path / "data.old-1" / "a.jsonl").stat().st_mtime_ns == before
    assert read_stamp(tmp_path / "data")["results"]["records"]["a"] >= 1
    assert len(list((tmp_path / "data" / "videos" / "a").iterdir())) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 1", "sede: 1", "data.yaml: unknown key 'sede'; did you mean 'seed'?"),
        ("clips: 3", "clps: 3", "data.yaml: a: unknown key 'clps'; did you mean 'clips'?"),
        ("min_event", "min_evnt", "data.yaml: clip: unknown key 'min_evnt'; did you mean 'min_event'?"),
        ("use: ground", "use: ground, clip: {second: [3]}", "a: clip: unknown key 'second'; did you mean 'seconds'?"),
        ("use: ground", "use: grond", "a: use is 'grond', expected one of general, ground, test"),
        ("clips: 3", "clips: many", "a: clips is 'many', expected a whole number above 0"),
        ("clips: 3, ", "", "a: key 'clips' is missing"),
        ("splits:\n  a: {clips: 3, use: ground}", "", "key 'splits' is missing"),
        ("{clips: 3, use: ground}", "3", "a: found 3, expected a mapping"),
        ("use: ground}", "use: ground", "expected ',' or '}'"),
        ("seed: 1", "box: median", "data.yaml: box is 'median', expected one of middle, mean"),
        ("seconds: [2]", "motion: fly", "data.yaml: clip: motion is 'fly', expected one of walk, curve"),
        ("use: ground", "use: ground, clip: {motion: fly}", "data.yaml: a: clip: motion is 'fly', expected"),
        ("seconds: [2]", "max_edge: 0.5", "data.yaml: clip: max_edge is 0.5, expected seconds from 0 to below 0.5"),
        ("seconds: [2]", "turns: 0", "data.yaml: clip: turns is 0, expected points a second, above 0"),
        ("seconds: [2]", "pauses: 2", "data.yaml: clip: pauses is 2, expected a share from 0 to 1"),
        ("use: ground", "use: ground, no_target: 1.5", "a: no_target is 1.5, expected a share of the sentences"),
        ("use: ground", "use: ground, temporal: yes", "a: temporal is True, expected a share of the sentences"),
        ("use: ground", "use: scene, temporal: 0.5", "a: temporal is for use ground or test, not scene"),
        ("use: ground", "use: ground, no_target: 0.5, temporal: 0.6", "a: no_target and temporal are 1.1 together"),
        ("use: ground", "use: ground, no_targets: 0.5", "a: unknown key 'no_targets'; did you mean 'no_target'?"),
    ],
)
def test_bad_settings_are_one_line_that_names_the_key(tmp_path, capsys, old, new, message):
    assert old in SMALL
    assert make(tmp_path, SMALL.replace(old, new)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_without_an_encoder_one_line_comes_first(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    assert make(tmp_path) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: PyAV has no libx264 encoder here")
    assert error.count("\n") == 1
    assert not (tmp_path / "data").exists()


def begun(folder, **options):
    """Begin a run in a process of its own; return it and its stderr, which ends once no worker holds it."""
    command = [sys.executable, "-m", "data_prep", "synthetic", "--config", str(folder / "data.yaml")]
    ours, theirs = os.pipe()
    process = forked.begin([*command, "--out", str(folder / "data")], stderr=theirs, **options)
    os.close(theirs)
    return process, os.fdopen(ours)


def end_of(process, error):
    """Return the exit code of a begun run and what it said, once its workers have ended too."""
    with error:
        said = error.read()
    process.join(60)
    return process.exitcode, said


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGKILL", -signal.SIGKILL)])
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(tmp_path, name, code):
    text = SMALL.replace("clips: 3", "clips: 40")
    assert make(tmp_path / "whole", text) == 0
    (tmp_path / "data.yaml").write_text(text)
    videos = tmp_path / "data" / "videos" / "a"
    process, error = begun(tmp_path, own_group=True)
    while process.is_alive() and not (videos.is_dir() and len(list(videos.glob("*.mp4"))) >= 5):
        time.sleep(0.002)
    os.killpg(process.pid, getattr(signal, name))  # as a terminal does: workers too
    ended, said = end_of(process, error)
    assert ended == code, said
    assert "Traceback" not in said
    assert not read_stamp(tmp_path / "data")["complete"]
    whole = {path: path.stat().st_mtime_ns for path in videos.glob("*.mp4")}
    assert make(tmp_path, text) == 0
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in whole.items()), "whole videos are kept"
    assert contents(tmp_path / "data") == contents(tmp_path / "whole" / "data"), "and nothing half written is left"


def test_a_generator_of_another_version_makes_the_data_anew(tmp_path, capsys, monkeypatch):
    assert make(tmp_path) == 0
    stamp = json.loads((tmp_path / "data/stamp.json").read_text())
    assert stamp["settings"]["generator"] == 1
    del stamp["settings"]["generator"]  # as stamps were before versions
    (tmp_path / "data/stamp.json").write_text(json.dumps(stamp | {"fingerprint": "old"}))
    capsys.readouterr()
    assert make(tmp_path) == 0
    assert "is up to date" in capsys.readouterr().err
    monkeypatch.setattr(synthetic, "GENERATOR", 2)
    assert make(tmp_path) == 2
    assert "differs in generator 1 -> 2; nothing was touched" in capsys.readouterr().err


def test_a_video_that_is_gone_is_drawn_again(tmp_path):
    assert make(tmp_path) == 0
    whole = contents(tmp_path / "data")
    (tmp_path / "data/videos/a/00001.mp4").unlink()
    assert make(tmp_path) == 0
    assert contents(tmp_path / "data") == whole


def test_a_config_that_would_be_overwritten(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.jsonl").write_text(SMALL)
    assert main(["synthetic", "--config", str(tmp_path / "data/a.jsonl"), "--out", str(tmp_path / "data")]) == 2
    assert "one of the inputs" in capsys.readouterr().err
    assert (tmp_path / "data/a.jsonl").read_text() == SMALL


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs /proc to find the workers")
@pytest.mark.parametrize("victim", ["worker", "parent"])
def test_a_kill_of_one_process_alone(tmp_path, victim):
    """Of a worker: one line and exit 2. Of the parent: its workers end too, and do not write beside the next run."""
    text = SMALL.replace("clips: 3", "clips: 40")
    (tmp_path / "data.yaml").write_text(text)
    process, error = begun(tmp_path)
    while process.is_alive() and not any((tmp_path / "data").rglob("*.mp4")):
        time.sleep(0.002)
    workers = list(children(process.pid))
    os.kill(workers[0] if victim == "worker" else process.pid, signal.SIGKILL)
    ended, said = end_of(process, error)
    assert "Traceback" not in said
    if victim == "worker":
        assert ended == 2
        assert said.splitlines()[-1].startswith("error: a worker process was killed (out of memory?)")
    assert make(tmp_path, text) == 0
    assert len(list((tmp_path / "data").rglob("*.mp4"))) == 40
    assert not list((tmp_path / "data").rglob("*.part"))
