"""Rows: the right frames in the right places, decoded once, and records without a video counted."""

import copy
import json
import logging
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from data_prep.errors import StageError
from data_prep.records import RecordError, read_records
from data_prep.video.sampling import VideoError
from recipe.inputs.dataset import completion_text, load_mixture, make_builder
from recipe.inputs.families import FAMILIES
from recipe.inputs.prompts import load_prompts
from recipe.variants.columns import REWARD_COLUMNS
from stvg_rewards import parse_answer, parse_tracks, score_answer
from stvg_rewards.tracks import Track
from tests.helpers.films import make_plain_video


def builder_of(tiny_data, **others):
    settings = {"grid": 24, "max_pixels": 48 * 48, "family": FAMILIES["glm4v"], "prompts": load_prompts("tiny")}
    return make_builder(video_root=tiny_data / "videos", **settings | others)


def records_of(tiny_data, name="ground"):
    return list(read_records(tiny_data / f"{name}.jsonl"))


def test_a_row_has_a_timestamp_before_each_picture(tiny_data):
    for record in records_of(tiny_data):
        row = builder_of(tiny_data).row(record)
        content = row["prompt"][0]["content"]
        assert [part["type"] for part in content] == ["text", "image"] * record["seconds"] + ["text"]
        assert [part["text"] for part in content[:-1:2]] == [f"{k}s" for k in range(record["seconds"])]
        assert record["query"] in content[-1]["text"]
        assert len(row["images"]) == record["seconds"]
        assert {image.size for image in row["images"]} == {(48, 48)}


def test_frames_come_from_the_middle_of_their_second(tiny_data):
    """The target's colour is seen in its box in the seconds of its track, and nowhere in the others."""
    annotations = {}
    with (tiny_data / "annotations" / "ground.jsonl").open() as stream:
        for line in stream:
            annotation = json.loads(line)
            annotations[annotation["video"]] = annotation
    checked = 0
    for record in records_of(tiny_data):
        frames = builder_of(tiny_data, max_pixels=96 * 96).row(record)["images"]
        target = annotations[record["video"]]["objects"][int(record["id"].rsplit("/", 1)[1])]
        others = [item["colour"] for item in annotations[record["video"]]["objects"] if item is not target]
        if target["colour"] in others:
            continue
        boxes = {state["second"]: state["box"] for state in record["track"]}
        for second, frame in enumerate(frames):
            pixels = np.asarray(frame, dtype=int)
            like = np.abs(pixels - pixels_of(target["colour"])).sum(-1) < 120
            if second not in boxes:
                middle = (second + 0.5) * annotations[record["video"]]["fps"]
                on_screen = target["begin_frame"] <= middle < target["end_frame"]
                assert on_screen or like.sum() < 4, (record["id"], second)
                continue
            ys, xs = np.nonzero(like)
            if not len(xs):
                continue  # the second's visible frames miss its middle
            left, top, right, bottom = (value * 96 for value in boxes[second])
            assert xs.min() >= left - 2
            assert xs.max() <= right + 2
            assert ys.min() >= top - 2
            assert ys.max() <= bottom + 2
            checked += 1
    assert checked >= 10


def pixels_of(colour):
    from data_prep.sources.synthetic_clips import COLOURS

    return np.array(COLOURS[colour])


def test_each_clip_is_decoded_once(tiny_data):
    builder = builder_of(tiny_data)
    record = records_of(tiny_data)[0]
    text = json.dumps(record)
    rows = builder({"record": [text] * 16})
    assert len(rows["images"]) == 16
    assert builder.clips.decoded == 1
    builder({"record": [text]})
    assert builder.clips.decoded == 1
    small = builder_of(tiny_data, cache_clips=1)
    others = {r["video"]: json.dumps(r) for r in records_of(tiny_data)}
    for _ in range(2):
        for text in others.values():
            small({"record": [text]})
    assert small.clips.decoded == 2 * len(others), "one clip is kept, so none is found again"


def test_threads_share_one_cache_of_two_clips(tiny_data):
    """Clips are put out while other threads look for them; each thread gets its own clip's frames."""
    records = list({record["video"]: record for record in records_of(tiny_data)}.values())[:4]
    expected = [[image.tobytes() for image in builder_of(tiny_data).row(record)["images"]] for record in records]
    builder = builder_of(tiny_data, cache_clips=2)

    def is_right(number):
        index = number % len(records)
        return [image.tobytes() for image in builder.row(records[index])["images"]] == expected[index]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(is_right, range(40)))
    assert len(builder.clips._cache) == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda builder: pickle.loads(pickle.dumps(builder))])
def test_a_builder_can_be_sent_to_a_worker(tiny_data, copied):
    """A lock cannot be copied, and datasets and spawned workers copy their transform."""
    builder = builder_of(tiny_data)
    record = records_of(tiny_data)[0]
    row = builder.row(record)
    other = copied(builder)
    assert other.row(record)["prompt"] == row["prompt"]
    assert other.clips.decoded == 2, "its own cache is empty"
    assert builder.clips.decoded == 1


def test_a_clip_is_known_by_its_file_and_not_by_its_name(tiny_data, tmp_path):
    """F1: a second root, a replaced file and another size of frames gave the first one's pictures."""
    record = records_of(tiny_data)[0] | {"video": "clip.mp4", "clip": [0.0, 3.0], "seconds": 3}
    for name, colour in ("a", (255, 0, 0)), ("b", (0, 0, 255)):
        make_plain_video(tmp_path / name / "clip.mp4", colour)
    builder = builder_of(tiny_data)

    def brightest(**others):
        pixel = builder.row(record, **others)["images"][0].getpixel((5, 5))
        return "rgb"[pixel.index(max(pixel))]

    builder.clips.video_root = tmp_path / "a"
    assert brightest() == "r"
    assert brightest(video=tmp_path / "b" / "clip.mp4") == "b"
    builder.clips.video_root = tmp_path / "b"
    assert brightest() == "b"
    assert builder.clips.decoded == 2, "the same file is decoded once, whichever way it was named"
    make_plain_video(tmp_path / "b" / "clip.mp4", (0, 255, 0))
    assert brightest() == "g"
    sides = [builder.row(record)["images"][0].size]
    builder.clips.max_pixels = 24 * 24
    sides.append(builder.row(record)["images"][0].size)
    assert sides[1] == (24, 24) != sides[0]
    (tmp_path / "b" / "clip.mp4").unlink()
    with pytest.raises(VideoError, match=r"clip\.mp4: cannot be opened"):
        builder.row(record)


def test_the_completion_is_what_the_reward_reads(tiny_data):
    for record in records_of(tiny_data):
        row = builder_of(tiny_data).row(record)
        text = row["completion"][0]["content"]
        assert text.startswith("<think>from second ")
        answer = parse_answer(text, seconds=record["seconds"], scale=row["box_scale"])
        true = Track(record["label"], {s["second"]: tuple(s["box"]) for s in record["track"]})
        scores = score_answer(answer, true, tuple(record["span"]))
        assert answer.complete
        assert scores.tIoU == 1.0
        assert scores.mvIoU > 0.95  # thousandths round


def test_pixel_families_write_pixels_of_the_frame(tiny_data):
    record = records_of(tiny_data)[0]
    row = builder_of(tiny_data, family=FAMILIES["qwen2_5_vl"]).row(record)
    assert row["box_scale"] == [48, 48]
    answer = row["completion"][0]["content"].rpartition("</think>")[2]
    numbers = [number for states in json.loads(answer).values() for number in states[0]["bbox_2d"]]
    assert max(numbers) <= 48


def test_a_scene_lists_every_object(tiny_data):
    record = records_of(tiny_data)[0]
    tracks = [{"label": f"person-{n}", "track": [{"second": n, "box": [0.0, 0.0, 0.5, 0.5]}]} for n in (1, 2)]
    text = completion_text(record | {"kind": "scene", "tracks": tracks}, FAMILIES["glm4v"], (1000, 1000))
    assert [track.label for track in parse_tracks(text)] == ["person-1", "person-2"]


def test_grpo_rows_carry_the_reward_columns_and_no_completion(tiny_data):
    record = records_of(tiny_data)[0]
    row = builder_of(tiny_data, completions=False).row(record)
    assert "completion" not in row
    assert set(REWARD_COLUMNS) < row.keys()
    assert row["track"] == record["track"]
    assert row["span"] == record["span"]
    first, last = record["span"]
    assert (row["intervals"], row["duration"]) == ([[first, last + 1]], float(record["seconds"]))
    assert row["tracks"] is None


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_records_without_a_video_are_counted_and_the_rest_goes_on(tiny_data, tmp_path, caplog):
    records = records_of(tiny_data)
    gone = [dict(record, id=record["id"] + "x", video=f"ground/no-{n}.mp4") for n, record in enumerate(records[:3])]
    path = write(tmp_path / "tracks.jsonl", gone + records)
    with caplog.at_level(logging.WARNING):
        rows = load_mixture([path], builder_of(tiny_data))
    assert len(rows) == len(records)
    assert f"3 of {len(records) + 3} records without a usable video: 3 missing" in caplog.text
    assert "ground/no-0.mp4" in caplog.text
    with pytest.raises(FileNotFoundError, match="none of its 3 records is left: .* 3 missing"):
        load_mixture([write(tmp_path / "gone.jsonl", gone)], builder_of(tiny_data))


def test_videos_that_are_of_no_use_are_left_out_by_reason_and_limited(tiny_data, tmp_path, caplog):
    first, second, third, *others = records_of(tiny_data)
    (tmp_path / "empty.mp4").touch()
    shutil.copy(tiny_data / "videos" / first["video"], tmp_path / "a.mp4")
    path = write(
        tmp_path / "tracks.jsonl",
        [
            first | {"video": "a.mp4", "width": 96, "height": 96},  # the same shape, so that boxes fit
            second | {"video": "empty.mp4"},
            third | {"video": "a.mp4", "seconds": 60, "clip": [0.0, 60.0]},
            others[0] | {"video": "a.mp4", "width": 1280, "height": 720},
            others[1] | {"video": "gone.mp4"},
        ],
    )
    builder = builder_of(tiny_data)
    builder.clips.video_root = tmp_path
    with caplog.at_level(logging.WARNING):
        rows = load_mixture([path], builder, max_missing=0.8)
    assert [row["id"] for row in rows] == [first["id"]]
    for text in ("1 missing", "1 unreadable", "1 shorter_than_clip", "1 other_size", "empty (0 bytes)", "1280x720"):
        assert text in caplog.text
    with pytest.raises(StageError, match=r"4 of 5 records .*expected at most 5% \(max_missing\)") as error:
        load_mixture([path], builder, max_missing=0.05)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("video", ["../secret.mp4", "/etc/passwd", "a/../../b.mp4"])
def test_a_video_outside_the_root_is_refused(tiny_data, tmp_path, video):
    path = write(tmp_path / "tracks.jsonl", [dict(records_of(tiny_data)[0], video=video)])
    with pytest.raises(RecordError, match="video"):
        load_mixture([path], builder_of(tiny_data))


def test_a_limit_takes_the_first_records(tiny_data):
    rows = load_mixture([str(tiny_data / "ground.jsonl")], builder_of(tiny_data), limit=2)
    assert [row["id"] for row in rows] == [record["id"] for record in records_of(tiny_data)[:2]]


def test_words_of_a_record_cannot_end_the_reasoning_or_hold_a_picture(tiny_data):
    record = records_of(tiny_data)[0] | {"reasoning": "first</think> <|image|>", "label": "[gMASK]"}
    builder = builder_of(tiny_data, control_tokens=("</think>", "<|image|>", "[gMASK]"))
    text = builder.row(record)["completion"][0]["content"]
    assert text.startswith("<think>first< /think> < |image|></think><answer>")
    assert "[gMASK]" not in text  # the formatter of answers escapes it
    asked = {"kind": "qa", "query": "what?", "answer": "a <|image|>", "track": None, "span": None, "label": None}
    assert builder.row(record | asked)["completion"][0]["content"] == "a < |image|>"


def test_a_question_about_the_whole_file(tiny_data):
    record = records_of(tiny_data)[0]
    asked = {"kind": "qa", "query": "what?", "answer": "a dog", "clip": None, "seconds": None}
    nothing = dict.fromkeys(("fps", "width", "height", "label", "span", "track"))
    row = builder_of(tiny_data).row(record | asked | nothing)
    assert len(row["images"]) == row["seconds"] == record["seconds"]
    assert row["images"][0].size == (48, 48)


def test_frames_never_come_from_after_the_clip(tiny_data):
    """A clip of 1.3 seconds asks for the frame at 1.5, which the file has and the clip does not: its last frame."""
    record = records_of(tiny_data)[0]
    whole = builder_of(tiny_data).row(record | {"clip": [0.0, 3.0], "seconds": 3})["images"]
    short = builder_of(tiny_data).row(record | {"clip": [0.0, 1.3], "seconds": 2})["images"]
    last = builder_of(tiny_data, rate=20.0).row(record | {"clip": [0.0, 1.3], "seconds": 2})["images"]
    assert short[0] == whole[0]
    assert short[1] == last[-1] == last[30]
    begun = builder_of(tiny_data).row(record | {"clip": [1.0, 3.0], "seconds": 2})["images"]
    assert begun == whole[1:]


def test_timestamps_follow_the_rate(tiny_data):
    record = records_of(tiny_data)[0]
    seconds = record["seconds"]
    for builder, own, times in (
        (builder_of(tiny_data, rate=2.0), {}, [f"{k / 2:g}s" for k in range(2 * seconds)]),
        (builder_of(tiny_data), {"rate": 4}, [f"{k / 4:g}s" for k in range(4 * seconds)]),
        (builder_of(tiny_data, rate=0.5), {}, [f"{2 * k}s" for k in range(-(-seconds // 2))]),
        (builder_of(tiny_data, rate="dynamic", frame_budget=seconds), {}, [f"{k}s" for k in range(seconds)]),
    ):
        row = builder.row(record | own)
        assert [part["text"] for part in row["prompt"][0]["content"][:-1:2]] == times
        assert len(row["images"]) == len(times)
        assert row["seconds"] == seconds, "the answer's clock stays in seconds"


def test_two_rates_of_one_clip_are_two_things_in_the_cache(tiny_data):
    record = records_of(tiny_data)[0]
    builder = builder_of(tiny_data)
    lengths = [len(builder.row(record | {"rate": rate})["images"]) for rate in (1, 2, 1, 2)]
    assert lengths == [record["seconds"], 2 * record["seconds"]] * 2
    assert builder.clips.decoded == 2


def test_only_supervised_rows_may_look_at_the_event(tiny_data):
    record = next(one for one in records_of(tiny_data) if one["seconds"] == 4) | {"span": [0, 0], "track": []}
    long = record | {"span": [0, record["seconds"] - 1]}
    counts = {
        completions: [
            len(builder_of(tiny_data, rate="dynamic", completions=completions).row(one)["images"])
            for one in (record, long)
        ]
        for completions in (False, True)
    }
    assert counts[False][0] == counts[False][1] == 4 * record["seconds"]
    assert counts[True][0] > counts[True][1]
