"""Fixed clips during training: boxes in the pixels, the table's rows, files that are whole or not there."""

import json
from pathlib import Path

import pytest
from PIL import Image

from data_prep.drawing.boxes import PREDICTED, TRUE
from recipe.dashboards.media import ANSWERS, COLUMNS, Shown, frame_of, picture, row, write_media
from stvg_rewards import Track, format_answer

RECORD = {
    "id": "a/../<b>",
    "query": "the red square",
    "label": "square",
    "seconds": 4,
    "span": [1, 2],
    "track": [{"second": 1, "box": [0.0, 0.0, 0.5, 0.5]}, {"second": 2, "box": [0.0, 0.0, 0.5, 0.5]}],
}


def shown(text, frames=4, **record):
    pictures = [Image.new("RGB", (48, 48), (k, k, k)) for k in range(frames)]
    return Shown(RECORD | record, pictures, (1000, 1000), text)


def answer(first, last, box=(0.5, 0.5, 1.0, 1.0)):
    boxes = dict.fromkeys(range(first, last + 1), box)
    return (
        "<think>It is red.</think><answer>" + format_answer(Track("square", boxes), scale=(1000, 1000)) + "</answer>"
    )


def pixel(drawn, x, y):
    return "#{:02X}{:02X}{:02X}".format(*drawn.getpixel((x, y)))


def test_boxes_and_bars_are_in_the_pixels():
    drawn = picture(shown(answer(1, 3)), side=100)
    assert drawn.size == (4 * 100 + 3 * 4, 16 + 100 + 2 * 12 + 4 + 18)  # times, tiles, bars, a gap, the legend
    true, predicted = TRUE.colour, PREDICTED.colour
    assert [pixel(drawn, second * 104, 16) == true for second in range(4)] == [False, True, True, False]
    # Inside the true box, or on the outermost pixels where it is alone.
    rows = [{pixel(drawn, second * 104 + x, 76) for x in (96, 99)} for second in range(4)]
    assert [predicted in row for row in rows] == [False, True, True, True]
    quarter = drawn.width // 4
    bars = [[pixel(drawn, quarter * second + 20, 116 + 12 * line + 6) for second in range(4)] for line in range(2)]
    assert [colour == true for colour in bars[0]] == [False, True, True, False]
    assert [colour == predicted for colour in bars[1]] == [False, True, True, True]


def test_boxes_that_agree_are_both_seen():
    drawn = picture(shown(answer(1, 2, (0.0, 0.0, 0.5, 0.5))), side=100)
    assert [pixel(drawn, 104 + inset, 41) for inset in (0, 3)] == [TRUE.colour, PREDICTED.colour]


@pytest.mark.parametrize("text", ["", "no answer", '{"0": [{"label": "a", "bbox_2d": [0, 0', "\x00<script>"])
def test_an_answer_that_cannot_be_read_is_drawn_too(text):
    assert picture(shown(text)).width > 100
    assert row(shown(text))["vIoU"] == 0.0


def test_frames_of_other_rates():
    for rate, frames in ((0.5, 2), (1, 4), (2, 8)):
        clip = shown("", frames=frames)
        values = [frame_of(clip, second).getpixel((0, 0))[0] for second in range(4)]
        assert [int(value / rate) for value in values] == ([0, 0, 2, 2] if rate == 0.5 else [0, 1, 2, 3])


def test_a_long_clip_shows_twelve_seconds():
    assert picture(shown("", frames=300, seconds=300), side=48).size == (6 * 48 + 5 * 4, 2 * (16 + 48 + 24 + 4) + 18)


def test_the_tables_row():
    found = row(shown(answer(1, 2, (0.0, 0.0, 0.5, 0.5))))
    assert tuple(found) == COLUMNS
    assert (found["reasoning"], found["vIoU"], found["tIoU"]) == ("<think>It is red.</think>", 1.0, 1.0)
    assert found["answer"].startswith("<answer>{")
    assert row(shown(answer(1, 3, (0.0, 0.0, 0.5, 0.5))))["tIoU"] == pytest.approx(2 / 3, abs=1e-4)


def test_the_run_holds_a_steps_pictures_and_answers(tmp_path):
    write_media(tmp_path, 50, [shown(answer(1, 2)), shown("no")], {"model": "m"}, to_wandb=False)
    folder = tmp_path / "media" / "step-000050"
    assert sorted(path.name for path in folder.iterdir()) == [ANSWERS, "clip-0.png", "clip-1.png"]
    lines = [json.loads(line) for line in (folder / ANSWERS).read_text().splitlines()]
    assert lines.pop(0) == {"about": {"model": "m"}}
    assert [line["id"] for line in lines] == ["a/../<b>"] * 2
    assert Image.open(folder / "clip-1.png").size == picture(shown("no")).size


def test_a_disk_that_cannot_be_written_ends_nothing(tmp_path, capsys):
    (tmp_path / "media").write_text("in the way")
    write_media(tmp_path, 50, [shown("no")], {"model": "m"}, to_wandb=False)
    assert "media: step 50 is not written" in capsys.readouterr().err


def test_the_stage_keeps_them_and_sends_them(grpo_run):
    for step in (0, 1, 2):
        folder = grpo_run.folder / "media" / f"step-{step:06d}"
        assert len(list(folder.glob("clip-*.png"))) == 2, "media_clips of the held_out_clips"
        about, *lines = map(json.loads, (folder / ANSWERS).read_text().splitlines())
        assert len(lines) == 2
        assert about["about"]["model"] == f"{grpo_run.folder} at step {step}"
    assert {"media/clips", "media/answers"} <= grpo_run.logged
    files = {path.suffix for path in Path(grpo_run.begun[0]["dir"]).rglob("*")}
    assert {".png", ".json"} <= files


def test_completions_go_to_the_run_and_to_files(grpo_run):
    import pandas

    assert "completions" in grpo_run.logged
    files = sorted((grpo_run.folder / "completions").glob("*.parquet"))
    assert len(files) == 2
    (message,) = pandas.read_parquet(files[0])["prompt"][0]
    assert message["content"].startswith("0s<image>1s<image>")
