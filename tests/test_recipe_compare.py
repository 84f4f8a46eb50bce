"""The comparison page: means over seeds, hostile names shown as text, broken runs listed."""

import json
import os
import re

import pytest

from data_prep.stages import StageError
from recipe import compare
from recipe.cli import run
from recipe.dashboards.clips import LARGEST, clips
from recipe.dashboards.groups import grouped, remarks
from recipe.dashboards.runs import last, mean_curve, read_run, steps_to


def make(folder, reward="viou", seed=0, values=(0.1, 0.2, 0.3), complete=True, settings=None, inputs=None, **others):
    """A run's folder; with `inputs` its stamp is of version 2, else of version 1."""
    folder.mkdir(parents=True)
    named = {"reward": reward} if inputs is None else {"variant": reward}
    stamp = {"stage": "grpo", "complete": complete, "fingerprint": "0"}
    stamp["settings"] = named | {"seed": seed} | (settings or {})
    if inputs is not None:
        stamp |= {"version": 2, "inputs": inputs}
    (folder / "stamp.json").write_text(json.dumps(stamp))
    log = [{"step": 5 * (k + 1), "vIoU": value, "loss": 0.0} | others for k, value in enumerate(values)]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    return folder


def ends(*words):
    with pytest.raises(SystemExit) as end:
        run(lambda: compare.parse([str(word) for word in words]), compare.main)
    return end.value.code


def test_the_mean_over_seeds_and_the_range(tmp_path):
    runs = [
        read_run(make(tmp_path / "grpo-a", seed=0, values=(0.1, 0.2, 0.3))),
        read_run(make(tmp_path / "grpo-b", seed=1, values=(0.3, 0.4))),
    ]
    expected = [[5.0, 0.2, 0.1, 0.3], [10.0, 0.3, 0.2, 0.4]]
    assert mean_curve(runs, "vIoU").tolist() == [pytest.approx(row) for row in expected], "the steps that both have"
    assert last(runs[0], "vIoU") == 0.3
    assert len(mean_curve(runs, "nothing")) == 0


def test_steps_to_the_score_that_all_reach(tmp_path):
    runs = [
        read_run(make(tmp_path / "grpo-a", "fast", values=(0.5, 0.6, 0.7, 0.8, 0.9, 0.9, 0.9))),
        read_run(make(tmp_path / "grpo-b", "slow", values=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9))),
        read_run(make(tmp_path / "grpo-c", "down", values=(0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1))),
    ]
    reach, score = steps_to(grouped(runs), "vIoU", None)
    assert score == pytest.approx(0.54), "means of five: 0.7, 0.78, 0.84 and 0.3, 0.4, 0.54; the third one unlearns"
    assert reach == {"fast": 25.0, "slow": 35.0, "down": None}
    assert steps_to(grouped(runs), "vIoU", 0.8) == ({"fast": 35.0, "slow": None, "down": None}, 0.8)
    assert steps_to(grouped(runs), "nothing", None) == (dict.fromkeys(("fast", "slow", "down")), None)


def test_steps_to_in_a_log_shorter_than_the_window(tmp_path):
    run = read_run(make(tmp_path / "grpo-a", "short", values=(0.1, 0.2)))
    reach, score = steps_to(grouped([run]), "vIoU", None)
    assert (reach, score) == ({"short": 10.0}, pytest.approx(0.15))


def test_the_page(tmp_path, capsys):
    make(tmp_path / "runs" / "grpo-viou-s0", span_ratio=1.0)
    make(tmp_path / "runs" / "grpo-viou-s1", seed=1, values=(0.3, 0.4, 0.5), span_ratio=1.0)
    make(tmp_path / "runs" / "grpo-mviou-s0", "mviou", span_ratio=0.5)
    (tmp_path / "runs" / "sft").mkdir()
    out = tmp_path / "page" / "c.html"
    assert ends(tmp_path / "runs", "--out", out) == 0
    page = out.read_text()
    assert "0.400<small>0.300 to 0.500" in page
    assert page.count("data:image/png;base64,") == 2, "vIoU and span_ratio"
    assert sorted(path.name for path in (tmp_path / "page" / "c-figures").iterdir()) == ["span_ratio.png", "vIoU.png"]
    assert not re.search(r'(src|href)="(?!data:|file:)', page), "nothing is fetched"
    assert "3 runs of 2 variants" in capsys.readouterr().out


def test_hostile_names_are_text(tmp_path):
    name = '<script>alert("x")</script>$x$_'
    make(tmp_path / "grpo-<b>bold", name, seed="<i>")
    assert ends(tmp_path / "grpo-<b>bold", "--out", tmp_path / "c.html") == 0
    page = (tmp_path / "c.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>bold" not in page


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "it has left no trainer_state.json"),
        ("", "cannot be read (JSONDecodeError)"),
        ('{"log_history": [{"step": 1', "cannot be read (JSONDecodeError)"),
        ("[]", "cannot be read (TypeError)"),
        ("[" * 100_000, "cannot be read (RecursionError)"),
    ],
)
def test_a_broken_run_is_listed(tmp_path, capsys, text, problem):
    make(tmp_path / "runs" / "grpo-good")
    bad = make(tmp_path / "runs" / "grpo-bad", complete=False)
    (bad / "trainer_state.json").unlink() if text is None else (bad / "trainer_state.json").write_text(text)
    assert ends(tmp_path / "runs", "--out", tmp_path / "c.html") == 0
    printed = capsys.readouterr()
    assert "1 runs of 1 variants, 1 with a problem" in printed.out
    assert "it has not ended" in printed.err
    assert problem in printed.err
    assert problem in (tmp_path / "c.html").read_text()


def test_values_that_are_no_numbers_are_left_out(tmp_path):
    run_ = read_run(make(tmp_path / "grpo-a", values=(0.1, None, "x", float("nan"), True, 0.2)))
    assert mean_curve([run_], "vIoU")[:, 1].tolist() == [0.1, 0.2]


def test_an_unfinished_run_is_read_from_its_checkpoint(tmp_path):
    folder = make(tmp_path / "grpo-a")
    (folder / "checkpoint-5").mkdir()
    (folder / "trainer_state.json").rename(folder / "checkpoint-5" / "trainer_state.json")
    assert read_run(folder).entries == 3


def test_the_newest_log_is_the_one_with_the_latest_step(tmp_path):
    """Times of files are in the wrong order after a copy; names of folders are whatever a user made of them."""
    folder = make(tmp_path / "grpo-a", complete=False)
    (folder / "trainer_state.json").unlink()
    for place, (name, steps) in enumerate({"checkpoint-12": 6, "checkpoint-9": 2, "checkpoint-6": 3}.items()):
        (folder / name).mkdir()
        history = [{"step": 2 * (k + 1), "vIoU": 0.1 * k} for k in range(steps)]
        log = folder / name / "trainer_state.json"
        log.write_text(json.dumps({"global_step": 2 * steps, "log_history": history}))
        os.utime(log, (place, place))
    assert read_run(folder).entries == 6
    (folder / "checkpoint-6" / "trainer_state.json").write_text("{")
    found = read_run(folder)
    assert found.entries == 6
    assert "checkpoint-6/trainer_state.json cannot be read (JSONDecodeError)" in found.problem
    (folder / "trainer_state.json").write_text('{"log_history": [{"step": 4, "vIoU": 0.1}]}')
    assert read_run(folder).entries == 6, "the run's own log is of a training that was shorter"


def test_a_number_too_large_for_a_float_is_left_out(tmp_path):
    large = 10**400
    folder = make(tmp_path / "grpo-a", values=(0.1, large, -large, 0.2))
    assert mean_curve([read_run(folder)], "vIoU")[:, 1].tolist() == [0.1, 0.2]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": [{"step": large, "vIoU": 0.1}]}))
    assert read_run(folder).entries == 0
    (folder / "media" / "step-000005").mkdir(parents=True)
    row = {"id": "a", "query": "q", "vIoU": large, "tIoU": 0.5}
    (folder / "media" / "step-000005" / "answers.jsonl").write_text(json.dumps(row) + "\n")
    [(_, [cell])] = clips({"viou": [read_run(folder)]})
    assert cell.scores == "tIoU 0.50"


def test_half_of_a_surrogate_pair_in_an_answer(tmp_path):
    folder = make(tmp_path / "grpo-a", settings={"suffix": "\ud800"})
    (folder / "media" / "step-000005").mkdir(parents=True)
    row = {"id": "a", "query": "who?", "answer": "the dog \udfff runs"}
    (folder / "media" / "step-000005" / "answers.jsonl").write_text(json.dumps(row) + "\n")
    assert ends(folder, "--out", tmp_path / "c.html") == 0
    assert "the dog ? runs" in (tmp_path / "c.html").read_text()


def test_a_step_that_was_logged_again_after_a_kill_counts_once(tmp_path):
    folder = make(tmp_path / "grpo-a", values=(0.1, 0.2))
    log = [{"step": 5, "vIoU": 0.1}, {"step": 10, "vIoU": 0.9}, {"step": 10, "vIoU": 0.2}]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    assert mean_curve([read_run(folder)], "vIoU")[:, 1].tolist() == [0.1, 0.2]


@pytest.mark.parametrize(
    ("words", "message"), [([], "no run is named"), (["nowhere"], "nowhere: no such folder"), (["."], "neither a run")]
)
def test_bad_words_are_one_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert ends(*words) == 2
    assert message in capsys.readouterr().err


def test_no_run_can_be_read(tmp_path):
    bad = make(tmp_path / "grpo-bad")
    (bad / "trainer_state.json").write_text("{")
    assert ends(bad, "--out", tmp_path / "c.html") == 0
    with pytest.raises(StageError, match="no run is named"):
        compare.parse([])


def test_runs_are_found_by_their_stamp_and_not_by_their_name(tmp_path):
    make(tmp_path / "r" / "mine")
    make(tmp_path / "r" / "grpo-b")
    make(tmp_path / "r" / "grpo-b.old-1")
    (make(tmp_path / "r" / "grpo-broken") / "stamp.json").write_text("{")
    sft = make(tmp_path / "r" / "grpo-like")
    (sft / "stamp.json").write_text(json.dumps({"stage": "sft", "complete": True, "fingerprint": "0"}))
    found = compare.folders_of([tmp_path / "r"])
    assert [path.name for path in found] == ["grpo-b", "grpo-broken", "mine"]
    assert compare.folders_of([tmp_path / "r" / "grpo-b.old-1"]), "where it is named"


# --- which runs are seeds of one curve ----------------------------------------------------------------------------

SIZES = {"global_batch_size": 1, "rollout_size": 1}  # what version 2 states where version 1 stated no batch


def test_other_weights_are_another_variant(tmp_path, capsys):
    """Both lay in one curve as its "seeds"."""
    make(tmp_path / "r" / "grpo-a", "tiou_mviou", seed=0, values=(0.1, 0.1))
    weights = {"reward_weights": [1.0, 0.5], "format_weight": 0.1}
    make(tmp_path / "r" / "grpo-b", "tiou_mviou", seed=1, values=(0.5, 0.5), settings=weights)
    make(tmp_path / "r" / "grpo-c", "tiou_mviou", seed=1, values=(0.3, 0.3), settings={"dynamic_sampling": 2})
    name = "tiou_mviou-1-0.5+format-0.1"
    make(tmp_path / "r" / "grpo-d", name, seed=2, values=(0.7, 0.7), settings=SIZES, inputs={})
    runs = [read_run(path) for path in sorted((tmp_path / "r").iterdir())]
    groups = grouped(runs)
    assert {curve: [one.folder.name for one in found] for curve, found in groups.items()} == {
        "tiou_mviou": ["grpo-a"],
        name: ["grpo-b", "grpo-d"],
        "tiou_mviou+dynamic-2": ["grpo-c"],
    }
    assert remarks(runs) == []
    assert ends(tmp_path / "r", "--out", tmp_path / "c.html") == 0
    assert "4 runs of 3 variants" in capsys.readouterr().out
    assert "0.600<small>0.500 to 0.700" in (tmp_path / "c.html").read_text(), "of two seeds with the same weights"


def test_a_copy_is_said_to_be_one_and_not_averaged(tmp_path, capsys):
    make(tmp_path / "grpo-a", seed=0, values=(0.2, 0.2))
    make(tmp_path / "grpo-b", seed=1, values=(0.4, 0.4))
    make(tmp_path / "grpo-copy", seed=0, values=(0.9, 0.9))
    names = [tmp_path / name for name in ("grpo-a", "grpo-b", "grpo-copy")]
    assert ends(*names, "--out", tmp_path / "c.html") == 0
    said = f"{names[2]} and {names[0]}: one variant (viou), one seed (0) and the same settings: a copy or a repetition"
    assert f"not averaged: {said}" in capsys.readouterr().out
    page = (tmp_path / "c.html").read_text()
    assert said in page
    assert "0.300<small>0.200 to 0.400" in page


@pytest.mark.parametrize(("seed", "seeds"), [(0, "one seed (0)"), (1, "two seeds")])
@pytest.mark.parametrize("version", [1, 2])
def test_other_settings_are_another_curve(tmp_path, capsys, seed, seeds, version):
    inputs = None if version == 1 else {"model": "a" * 64}
    first, second = {"learning_rate": 4e-4, "max_steps": 10}, {"learning_rate": 2e-4, "max_steps": 10}
    make(tmp_path / "grpo-a", settings=first, values=(0.2, 0.2), inputs=inputs)
    make(tmp_path / "grpo-b", settings=second, values=(0.4, 0.4), seed=seed, inputs=inputs)
    names = [tmp_path / name for name in ("grpo-a", "grpo-b")]
    assert ends(*names, "--out", tmp_path / "c.html") == 0
    said = capsys.readouterr().out
    assert "2 runs of 1 variants" in said
    line = f"{names[0]} and {names[1]}: one variant (viou), {seeds}, and learning_rate 0.0004 against 0.0002"
    assert f"not averaged: {line}" in said
    page = (tmp_path / "c.html").read_text()
    assert line in page
    for name, mean in (("viou, learning_rate 0.0004", "0.200"), ("viou, learning_rate 0.0002", "0.400")):
        assert name in page
        assert f"{mean}<small>{mean} to {mean}" in page


def test_other_inputs_and_other_code_of_the_reward_are_other_curves(tmp_path):
    inputs = {"model": "a" * 64, "reward code": "b" * 64}
    make(tmp_path / "grpo-a", "mine", inputs=inputs)
    make(tmp_path / "grpo-b", "mine", inputs=inputs | {"reward code": "c" * 64}, seed=1)
    make(tmp_path / "grpo-c", "mine", inputs=inputs | {"model": "d" * 64}, seed=2)
    runs = [read_run(tmp_path / f"grpo-{name}") for name in "abc"]
    assert [len(found) for found in grouped(runs).values()] == [1, 1, 1]
    assert f"input reward code {'b' * 12} against {'c' * 12}" in remarks(runs)[0]
    assert len(remarks(runs)) == 2


def test_settings_that_change_nothing_do_not_part_seeds(tmp_path):
    """Stamps of version 1 held those too."""
    make(tmp_path / "grpo-a", settings={"logging_steps": 5, "dataloader_num_workers": 0, "learning_rate": 1e-4})
    make(tmp_path / "grpo-b", seed=1, settings={"logging_steps": 10, "learning_rate": 1e-4})
    make(tmp_path / "grpo-c", seed=2, settings={"per_device_train_batch_size": "many"})  # not of this recipe
    runs = [read_run(tmp_path / f"grpo-{name}") for name in "abc"]
    assert [len(found) for found in grouped(runs).values()] == [2, 1]


def test_seeds_of_both_kinds_of_stamps_are_one_curve(tmp_path):
    make(tmp_path / "grpo-a", seed=0, settings={"max_steps": 10, "model_name_or_path": "runs/sft"})
    make(tmp_path / "grpo-b", seed=1, settings={"max_steps": 10} | SIZES, inputs={"model": "a" * 64})
    runs = [read_run(tmp_path / f"grpo-{name}") for name in "ab"]
    assert [[one.folder.name for one in found] for found in grouped(runs).values()] == [["grpo-a", "grpo-b"]]


def test_runs_without_a_stamp_are_no_copies_of_each_other(tmp_path):
    for name in ("grpo-a", "grpo-b"):
        (make(tmp_path / name) / "stamp.json").write_text("{")
    runs = [read_run(tmp_path / name) for name in ("grpo-a", "grpo-b")]
    assert [one.variant for one in runs] == ["unknown", "unknown"]
    assert len(grouped(runs)["unknown"]) == 2


def add_media(folder, step=50, rows=1, png=True, **row):
    from PIL import Image

    place = folder / "media" / f"step-{step:06d}"
    place.mkdir(parents=True)
    if png:
        Image.new("RGB", (4, 4)).save(place / "clip-0.png")
    found = {"id": "a", "query": "the cat", "reasoning": "<think>r", "answer": f"at {step}", "vIoU": 0.5} | row
    (place / "answers.jsonl").write_text((json.dumps(found) + "\n") * rows)
    return place


def test_the_same_clips_side_by_side(tmp_path):
    first, second = make(tmp_path / "r" / "grpo-a", "viou"), make(tmp_path / "r" / "grpo-b", "mviou")
    make(tmp_path / "r" / "grpo-c", "tiou")  # kept none
    for step in (50, 100):
        add_media(first, step)
    add_media(second, 100, vIoU=0.25)
    found = clips(grouped([read_run(path) for path in sorted((tmp_path / "r").iterdir())]))
    ((query, cells),) = found
    assert query == "the cat"
    assert [(cell.variant, cell.step, cell.answer) for cell in cells] == [
        ("viou", 100, "at 100"),
        ("mviou", 100, "at 100"),
    ]
    assert [cell.scores for cell in cells] == ["vIoU 0.50", "vIoU 0.25"]
    assert ends(tmp_path / "r", "--out", tmp_path / "c.html") == 0
    page = (tmp_path / "c.html").read_text()
    assert page.count("<figure>") == 2
    assert not re.search(r'(src|href)="(?!data:|file:)', page), "nothing is fetched"


@pytest.mark.parametrize("field", ["id", "query", "reasoning", "answer", "vIoU"])
def test_a_completion_with_html_shows_as_text(tmp_path, field):
    evil = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>"
    add_media(make(tmp_path / "grpo-a"), **{field: evil})
    assert ends(tmp_path / "grpo-a", "--out", tmp_path / "c.html") == 0
    page = (tmp_path / "c.html").read_text()
    assert "<script" not in page
    assert "onerror=alert(1)>" not in page
    if field not in ("id", "vIoU"):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_half_written_step_is_passed_over(tmp_path):
    folder = make(tmp_path / "grpo-a")
    add_media(folder, 50)
    (add_media(folder, 100) / "answers.jsonl").unlink()
    (add_media(folder, 150) / "answers.jsonl").write_text('{"id": "a"')
    (add_media(folder, 200) / "answers.jsonl").write_text("[1]\n")
    (add_media(folder, 250) / "answers.jsonl").write_bytes(b"\xff" * 9)
    (add_media(folder, 300) / "answers.jsonl").write_bytes(b" " * (LARGEST + 1))
    ((_, (cell,)),) = clips(grouped([read_run(folder)]))
    assert cell.step == 50


def test_a_picture_that_is_none_is_left_out(tmp_path):
    folder = make(tmp_path / "grpo-a")
    (add_media(folder) / "clip-0.png").write_text("<svg onload=alert(1)>")
    ((_, (cell,)),) = clips(grouped([read_run(folder)]))
    assert cell.png == ""
    assert ends(folder, "--out", tmp_path / "c.html") == 0
    assert "no picture" in (tmp_path / "c.html").read_text()
