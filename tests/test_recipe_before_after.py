"""What `make grpo` ends with: the summary's keys, paired gains, the table."""

import json
import shutil
from pathlib import Path

import pytest

from data_prep.stages import Stage
from recipe.evaluate import EvalArguments, evaluate
from recipe.evaluation.scores import METRICS
from recipe.studies.before_after import main, parse, summarise, table
from recipe.studies.harness import mean_logged
from recipe.studies.report_places import ComparedArguments, grpo_folder
from stvg_rewards import Track, format_answer

# The contract of summary.json; fields may be added, these stay.
STATED = {"m_tIoU", "m_vIoU", "vIoU@0.3", "vIoU@0.5", "parse_failures", "n"}
INTERVAL = {"mean", "low95", "high95"}


@pytest.fixture(scope="module")
def run(tiny_data, tiny_base, tmp_path_factory):
    """A run whose stages are the untrained checkpoint and one with another seed."""
    from recipe.tiny import TinyArguments
    from recipe.tiny import main as build

    folder = tmp_path_factory.mktemp("run")
    other = folder / "other"
    build(TinyArguments(tracks=[str(tiny_data / "ground.jsonl")], out=str(other), seed=1))
    histories = {
        "cpt": [{"loss": 2.0, "step": 1}],
        "sft": [{"loss": 1.0, "step": 1}],
        "grpo-tiou-s7": [{"clip_ratio/region_mean": 0.1, "step": 1}, {"clip_ratio/region_mean": 0.3, "step": 2}],
    }
    for name, history in histories.items():
        shutil.copytree(other if name.startswith("grpo") else tiny_base, folder / name)
        (folder / name / "stamp.json").unlink()
        (folder / name / "trainer_state.json").write_text(json.dumps({"log_history": history}))
        stage = Stage(folder / name, name, {"seed": 7, "reward": "tiou"})
        results = {"wrong_image_loss_ratio": {"cpt": 1.4, "sft": 1.6}.get(name)}
        stage._write(complete=True, results=results, history=[], files={})
    return folder


def arguments(run, tiny_data):
    evaluation = EvalArguments(
        tracks=str(tiny_data / "test.jsonl"),
        video_root=str(tiny_data / "videos"),
        prompts="tiny",
        max_frame_pixels=2304,
        max_new_tokens=8,
    )
    return ComparedArguments(run=str(run), grpo="grpo-tiou-s7"), evaluation


def answers_for(model, processor, rows, *, temperature, **settings):
    """In the place of generate: RL knows the truth, SFT all of it but the last second, sampled or not."""
    texts = []
    for row in rows:
        track = row["track"] if "grpo" in model.name_or_path else row["track"][:-1]
        boxes = {state["second"]: tuple(state["box"]) for state in track}
        texts.append(format_answer(Track("x", boxes), scale=tuple(row["box_scale"])) if boxes else "nothing")
    return texts


@pytest.fixture(scope="module")
def summary(run, tiny_data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recipe.inference.backends.generate", answers_for)
        main(*arguments(run, tiny_data))
    return json.loads((run / "summary.json").read_text())


def test_the_summary_has_its_keys(summary):
    assert {"sft", "rl", "gain", "wrong_image_loss_ratio", "clip_ratio_region_mean", "seed"} <= summary.keys()
    for side in ("sft", "rl"):
        assert summary[side].keys() == {"sampled", "greedy"}
        for decoding in summary[side].values():
            assert decoding.keys() >= STATED
            assert decoding["n"] == 5
    assert summary["gain"].keys() == {"sampled", "greedy"}
    for gains in summary["gain"].values():
        assert gains.keys() >= {"m_vIoU", "m_tIoU"}
        assert all(gain.keys() == INTERVAL for gain in gains.values())
    assert summary["wrong_image_loss_ratio"] == {"cpt": 1.4, "sft": 1.6}
    assert summary["clip_ratio_region_mean"] == pytest.approx(0.2)
    assert summary["seed"] == 7


def test_gains_are_differences_of_the_means(summary):
    for decoding, gains in summary["gain"].items():
        for metric in ("m_vIoU", "m_tIoU"):
            difference = summary["rl"][decoding][metric] - summary["sft"][decoding][metric]
            assert gains[metric]["mean"] == pytest.approx(difference)
            assert gains[metric]["low95"] <= gains[metric]["mean"] <= gains[metric]["high95"]
            assert gains[metric]["mean"] > 0.2, "what RL has more than SFT is a gain"
    assert summary["rl"]["greedy"]["m_tIoU"] == 1.0
    assert summary["rl"]["greedy"]["m_vIoU"] > 0.9  # thousandths round


def test_summary_and_report_lie_in_the_folder_of_the_grpo_run(run, summary):
    own = run / "grpo-tiou-s7"
    assert json.loads((own / "summary.json").read_text()) == summary
    page = (own / "report.html").read_text()
    assert "<html" in page[:500].lower()
    assert "<h1>SFT against RL on held-out clips: tiou, seed 7</h1>" in page


def test_the_runs_page_names_and_links_the_newest_report(run, summary):
    page = (run / "report.html").read_text()
    assert '<a href="grpo-tiou-s7/report.html">grpo-tiou-s7/report.html</a> (reward tiou, seed 7)' in page


def test_another_rewards_report_overwrites_none(run, summary, tiny_data, monkeypatch):
    """The run's summary is the newest one's; each GRPO run keeps its own, and the page lists both."""
    first = {name: (run / "grpo-tiou-s7" / name).read_bytes() for name in ("summary.json", "report.html")}
    other = run / "grpo-a+b-s1"
    shutil.copytree(run / "grpo-tiou-s7", other, ignore=shutil.ignore_patterns("eval", "summary.json", "report.html"))
    stage = Stage(other, "grpo", {"seed": 1, "reward": "mviou"})
    stage._write(complete=True, results={}, history=[], files={})
    monkeypatch.setattr("recipe.inference.backends.generate", answers_for)
    args, evaluation = arguments(run, tiny_data)
    args.grpo = str(other)  # a path, as GRPO's own words name it
    main(args, evaluation)
    assert {name: (run / "grpo-tiou-s7" / name).read_bytes() for name in first} == first
    newest = json.loads((run / "summary.json").read_text())
    assert (newest["reward"], newest["seed"]) == ("mviou", 1)
    page = (run / "report.html").read_text()
    assert 'Newest: <a href="grpo-a%2Bb-s1/report.html">grpo-a+b-s1/report.html</a>' in page
    assert '<li><a href="grpo-tiou-s7/report.html">grpo-tiou-s7/report.html</a></li>' in page
    shutil.rmtree(other)


def test_a_stamp_that_leaves_out_defaults_still_names_reward_and_seed(run, summary, tmp_path):
    for name in ("cpt", "sft", "grpo"):
        shutil.copytree(run / "grpo-tiou-s7", tmp_path / name)
    Stage(tmp_path / "grpo", "grpo", {})._write(complete=True, results={}, history=[], files={})
    both = {decoding: (values(mvIoU=0.2), []) for decoding in ("sampled", "greedy")}
    stages = {name: tmp_path / name for name in ("cpt", "sft", "grpo")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recipe.studies.before_after.gains", lambda before, after: {})
        found = summarise(stages, both, both)
    assert (found["reward"], found["seed"]) == ("tiou_mviou", 42)  # the classes' own


def test_answers_are_kept_and_not_asked_again(run, summary, tiny_data, monkeypatch, capsys):
    for name in ("sft", "grpo-tiou-s7"):
        kept = sorted(path.name for path in (run / name / "eval").iterdir())
        assert sum("greedy.answers" in path for path in kept) == 1
        assert sum("sampled.answers" in path for path in kept) == 3
    monkeypatch.setattr("recipe.inference.backends.generate", None)
    main(*arguments(run, tiny_data))
    assert json.loads((run / "summary.json").read_text()) == summary
    printed = capsys.readouterr().out
    assert printed.startswith("5 held-out clips; sampled: T = 1, mean of 3 runs")
    assert table(summary) in printed


def test_a_sampled_number_is_the_mean_of_its_runs(run, summary, tiny_data):
    """Each repeat's answers scored by themselves, as anybody's predictions would be."""
    found = []
    for path in sorted((run / "sft" / "eval").glob("sampled.answers-*.jsonl")):
        _, evaluation = arguments(run, tiny_data)
        evaluation.predictions, evaluation.out = str(path), str(run / "one.json")
        found.append(evaluate(evaluation)[0]["m_tIoU"])
    assert len(found) == 3
    assert summary["sft"]["sampled"]["m_tIoU"] == pytest.approx(sum(found) / 3)


def values(**others):
    return dict.fromkeys(METRICS, 0.2) | {"parse_failures": 0.0, "n": 5} | others


def test_the_table():
    gain = {"mean": 0.1, "low95": -0.05, "high95": 0.25}
    both = {"sampled": values(m_vIoU=0.2), "greedy": values(m_vIoU=0.0)}
    after = {"sampled": values(m_vIoU=0.3), "greedy": values(m_vIoU=0.1)}
    lines = table(
        {"sft": both, "rl": after, "gain": {name: {"m_vIoU": gain, "m_tIoU": gain} for name in both}}
    ).splitlines()
    assert len(lines) == 2 + 2 * len(METRICS)
    assert "| sampled | m_vIoU | 0.200 | 0.300 | x1.50 | +0.100 [-0.050, +0.250] |" in lines
    assert "| greedy | m_vIoU | 0.000 | 0.100 |  | +0.100 [-0.050, +0.250] |" in lines  # no ratio to zero
    assert "| greedy | vIoU@0.5 | 0.200 | 0.200 | x1.00 |  |" in lines


def test_what_was_not_logged_has_no_mean(run):
    assert mean_logged(run / "sft", "clip_ratio/region_mean") is None


def test_the_yaml_of_the_recipe_is_taken_and_the_run_is_named():
    args, evaluation = parse(
        ["--config", "recipe/configs/tiny/eval.yaml", "--run", "runs/x", "--grpo", "grpo-viou-s1"]
    )
    assert (args.run, args.grpo, evaluation.prompts) == ("runs/x", "grpo-viou-s1", "tiny")


GRPO = ["--config", "recipe/configs/tiny/grpo.yaml", "--reward", "tiou_mviou", "--seed", "0"]


@pytest.mark.parametrize(
    ("words", "folder", "sft"),
    [
        ([], "runs/tiny/grpo-tiou_mviou-s0", "runs/tiny/sft"),
        (["--reward", "mviou", "--seed", "1"], "runs/tiny/grpo-mviou-s1", "runs/tiny/sft"),
        (
            ["--output_dir", "runs/tiny/grpo-lr2e-4", "--learning_rate", "2e-4"],
            "runs/tiny/grpo-lr2e-4",
            "runs/tiny/sft",
        ),
        (["--output_dir", "mine"], "mine", "runs/tiny/sft"),
        (["--model_name_or_path", "runs/other/sft"], "runs/tiny/grpo-tiou_mviou-s0", "runs/other/sft"),
    ],
)
def test_what_grpo_was_told_says_what_is_compared(words, folder, sft):
    args, evaluation = parse(["--config", "recipe/configs/tiny/eval.yaml", "--max_records", "3", "--", *GRPO, *words])
    assert grpo_folder(args.run, args.grpo) == Path(folder)
    assert (args.sft, args.run, evaluation.limit) == (sft, "runs/tiny", 3)


def test_a_typo_in_grpos_words_is_named():
    with pytest.raises(ValueError, match="unknown option '--rewrad'; did you mean '--reward'"):
        parse(["--config", "recipe/configs/tiny/eval.yaml", "--", *GRPO, "--rewrad", "mviou"])
