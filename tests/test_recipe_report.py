"""The report: self-contained, every text escaped, honest about what is missing, clips chosen by the stated rule."""

import json
import re

import pytest
from PIL import Image

from data_prep.drawing.boxes import RL, SFT, TRUE
from data_prep.records import read_records
from recipe.drawing.curves import curves
from recipe.evaluation.logs import read_log, series
from recipe.studies.report import Clip, choose, read_clips, table_rows, write_report
from stvg_rewards import Track, format_answer, parse_answer

METRICS = {
    "m_tIoU": 0.5,
    "m_vIoU": 0.2,
    "vIoU@0.3": 0.25,
    "vIoU@0.5": 0.0,
    "mvIoU": 0.4,
    "parse_failures": 0.0,
    "n": 5,
}
GAIN = {"mean": 0.1, "low95": 0.05, "high95": 0.15}
HOSTILE = '</think><script>alert("x")</script>{"0": [{"label": "<b>", "bbox_2d": [1, 2, 3, 4]}]}'


def summary():
    both = {"sampled": dict(METRICS), "greedy": dict(METRICS)}
    better = {decoding: values | {"m_vIoU": 0.3} for decoding, values in both.items()}
    return {
        "sft": both,
        "rl": better,
        "gain": {decoding: dict.fromkeys(("m_vIoU", "m_tIoU", "m_mvIoU"), GAIN) for decoding in both},
        "wrong_image_loss_ratio": {"cpt": 1.5, "sft": None},
        "clip_ratio_region_mean": None,
        "reward": "tiou_mviou",
        "seed": 0,
    }


@pytest.fixture
def run(tmp_path, tiny_data, tiny_base):
    """A run's folder with GRPO's log, no log of CPT and SFT, and answers to the test records."""
    records = list(read_records(tiny_data / "test.jsonl"))
    good, hostile = tmp_path / "good.jsonl", tmp_path / "hostile.jsonl"
    with good.open("w") as a, hostile.open("w") as b:
        for record in records:
            track = Track(record["label"], {s["second"]: tuple(s["box"]) for s in record["track"]})
            a.write(json.dumps({"id": record["id"], "answer": format_answer(track, scale=(1000, 1000))}) + "\n")
            b.write(json.dumps({"id": record["id"], "answer": HOSTILE}) + "\n")
    (tmp_path / "grpo").symlink_to(tiny_base)
    return tmp_path, records, {"sft": hostile, "rl": good}


def write(run, tiny_data, **others):
    folder, _, answers = run
    stages = {"cpt": folder / "cpt", "sft": folder / "sft", "grpo": folder / "grpo"}
    settings = {"tracks": tiny_data / "test.jsonl", "video_root": tiny_data / "videos"} | others
    return write_report(folder, summary=summary(), stages=stages, answers=answers, **settings)


def test_the_page_needs_nothing_else_and_shows_hostile_text_as_text(run, tiny_data):
    page = write(run, tiny_data).read_text()
    loaded = re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page)
    assert loaded == []
    assert "@import" not in page
    assert "url(http" not in page
    assert "<script" not in page
    assert "&lt;script&gt;alert" in page
    assert "No log of this stage was found." in page


def test_the_page_has_the_numbers_and_the_clips(run, tiny_data):
    page = write(run, tiny_data).read_text()
    assert "×1.50" in page  # 0.3 / 0.2
    assert "+0.050 … +0.150" in page
    assert page.count("<article>") == 5
    assert page.count("data:image/png;base64,") == sum(record["seconds"] for record in run[1])
    assert "not logged" in page  # the clip share
    for record in run[1]:
        assert record["id"] in page


def test_videos_that_are_gone_are_said(run, tiny_data, tmp_path):
    page = write(run, tiny_data, video_root=tmp_path / "nowhere").read_text()
    assert "No clip could be shown" in page
    assert "<article>" not in page


def test_scores_of_the_clips(run, tiny_data):
    folder, records, answers = run
    clips = read_clips(tiny_data / "test.jsonl", answers, folder / "grpo")
    assert [clip.record["id"] for clip in clips] == [record["id"] for record in records]
    for clip in clips:
        assert clip.scores[1] > 0.9, "the true boxes rounded to thousandths"
        assert clip.scores[0] == 0.0, "a box of 2 thousandths"


def clip_of(name, before, after):
    empty = parse_answer("")
    return Clip({"id": name}, ("", ""), (empty, empty), (before, after))


def test_choice_of_clips():
    assert choose([]) == []
    few = [clip_of("a", 0.5, 0.1), clip_of("b", 0.1, 0.5)]
    assert choose(few, 6) == few
    many = [clip_of(f"{n:02d}", 0.0, n / 100) for n in range(11)]
    # Ranks 0, 2, 4, 6, 8, 10 of 11.
    assert [clip.record["id"] for clip in choose(many[::-1], 6)] == ["00", "02", "04", "06", "08", "10"]


def test_a_metric_that_was_zero_has_no_ratio():
    rows = {(row["decoding"], row["metric"]): row for row in table_rows(summary())}
    assert rows["greedy", "vIoU@0.5"]["ratio"] == ""
    assert rows["greedy", "m_vIoU"]["ratio"] == "×1.50"
    assert rows["greedy", "vIoU@0.3"]["gain"] == "+0.000"


def test_curves(tmp_path):
    assert read_log(tmp_path).entries == []
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"step": 1, "loss": 2.0}, {"step": 2, "lo')
    assert read_log(tmp_path).entries == [], "half-written"
    entries = [{"step": 1, "loss": 2.0}, {"step": 2, "other": 1.0}, {"step": 3, "loss": 1.0}]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": entries}))
    history = read_log(tmp_path).entries
    assert series(history, "loss") == ([1.0, 3.0], [2.0, 1.0])
    svgs = curves(history, [("loss", [("loss", "loss")]), ("reward", [("reward", "reward")])])
    assert len(svgs) == 1
    assert svgs[0].startswith("<svg")


def test_the_picture(run, tiny_data, tmp_path):
    from recipe.studies.picture import write_picture

    folder, _, answers = run
    clips = read_clips(tiny_data / "test.jsonl", answers, folder / "grpo")
    path = write_picture(tmp_path / "images" / "a.png", clips, tiny_data / "videos", width=600)
    with Image.open(path) as picture:
        assert picture.width == 600
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    from PIL import ImageColor

    assert {ImageColor.getrgb(look.colour) for look in (TRUE, SFT, RL)} <= colours
