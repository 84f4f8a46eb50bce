"""The page of claims: from studies that the test makes up, and (slow) from studies that are really run."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from data_prep.records import read_records
from data_prep.stages import StageError
from recipe.evaluate import EvalArguments
from recipe.evaluation.scores import Sample
from recipe.studies import paper_mini
from recipe.studies.claims import CONFIRMED, NOT_CONFIRMED
from recipe.studies.harness import SUMMARY_METRICS
from recipe.studies.paper_mini import PaperMiniArguments, main, parse
from stvg_rewards import Scores

REWARDS = ("tiou_mviou", "mviou", "viou")
# What each checkpoint scores, whatever the clip: (tIoU, vIoU).
RISING = [0.3, 0.31, 0.32, 0.33, 0.34, 0.36]
QUALITY = {"sft": (0.5, 0.3), "tiou_mviou": (0.8, 0.6), "mviou": (0.6, 0.5), "viou": (0.7, 0.55)}


def log(folder, reward, seed):
    folder.mkdir(parents=True)
    speed = {"tiou_mviou": 0.02, "mviou": 0.01, "viou": 0.015}[reward]
    history = [
        {
            "step": 5 * (k + 1),
            "vIoU": 0.3 + speed * k + 0.001 * seed,
            "tIoU": 0.4,
            "span_ratio": 1.6 if reward == "mviou" else 1.3,
            "empty_intersection_rate": 0.4 if reward == "mviou" else 0.3,
            "frac_reward_zero_std": 0.3 if reward == "mviou" else 0.1,
        }
        for k in range(12)
    ]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))


@pytest.fixture
def study(tmp_path, tiny_data, monkeypatch):
    """Arguments of a page whose studies are made up: RL is better, tIoU + mvIoU best, one frame a second too."""
    out, ids = tmp_path / "mini", [record["id"] for record in read_records(tiny_data / "test.jsonl")]
    for reward in REWARDS:
        for seed in (0, 1):
            log(out / f"grpo-{reward}-s{seed}", reward, seed)

    def quality(checkpoint):
        return QUALITY[checkpoint.name.removeprefix("grpo-").rpartition("-")[0] or checkpoint.name]

    def evaluate_both(args, checkpoint):
        time, tube = quality(checkpoint)
        samples = [[Sample(name, Scores(time, tube, tube), True, False, 0) for name in ids]]
        return dict.fromkeys(("sampled", "greedy"), (dict.fromkeys(SUMMARY_METRICS, tube), samples))

    def evaluate(args):
        samples = evaluate_both(args, Path(args.model))["greedy"][1]
        return {}, samples

    monkeypatch.setattr(paper_mini, "evaluate_both", evaluate_both)
    monkeypatch.setattr(paper_mini, "evaluate", evaluate)
    cost = {"second": {"prompt_tokens": 40.0, "answer_tokens": 50.0}, "fps": 10.0, "latency": [], "n": 5}
    cost |= {"frame": {"prompt_tokens": 400.0, "answer_tokens": 900.0}, "ceiling": {"m_tIoU": 0.9, "m_vIoU": 0.8}}
    monkeypatch.setattr(paper_mini, "measured_cost", lambda study: cost)
    asked = {"questions": {"all": 0.8, "count": 0.8, "n": 10, "floor": 0.5}, "right": [1.0] * 8 + [0.0] * 2}
    lost = {"questions": {"all": 0.0, "count": 0.0, "n": 10, "floor": 0.5}, "right": [0.0] * 10, "m_tIoU": 0.5}
    lost |= {"m_vIoU": 0.3}
    kept = asked | {"m_tIoU": 0.5, "m_vIoU": 0.25}
    lines = {"grounding alone": {"sft": [lost], "rl": [lost]}, "with questions": {"sft": [kept], "rl": [kept, kept]}}
    (out / "retention-study.json").write_text(json.dumps({"cpt": asked, "lines": lines}))
    summary = {
        "sft": {name: dict.fromkeys(SUMMARY_METRICS, 0.3) for name in ("sampled", "greedy")},
        "rewards": {
            reward: {
                seed: {name: dict.fromkeys(SUMMARY_METRICS, 0.5) for name in ("sampled", "greedy")} for seed in "01"
            }
            for reward in REWARDS
        },
        "steps_to": {name: {"score": 0.36, "steps": dict.fromkeys(REWARDS, 30)} for name in ("m_vIoU", "m_tIoU")},
        "curves": {
            name: {
                reward: {"step": [5, 10, 15, 20, 25, 30], **dict.fromkeys(("mean", "low", "high"), RISING)}
                for reward in REWARDS
            }
            for name in ("m_vIoU", "m_tIoU")
        },
    }
    (out / "reward-study.json").write_text(json.dumps(summary))
    rates = {
        rate: dict.fromkeys(("m_vIoU", "HOTA", "IDF1", "frames", "prompt_tokens", "answer_tokens"), value)
        | {"training_cpu_seconds": 60.0, "vIoU_by_scene": [value, value + 0.1]}
        for rate, value in (("0.5", 0.2), ("1", 0.4), ("2", 0.3))
    }
    (tmp_path / "fps-study.json").write_text(json.dumps(rates))
    return PaperMiniArguments(
        run=str(tmp_path),
        study_out=str(out),
        fps_study=str(tmp_path / "fps-study.json"),
        page=str(tmp_path / "docs/page.md"),
        command="make this",
    )


@pytest.fixture
def evaluation(tiny_data):
    return EvalArguments(tracks=str(tiny_data / "test.jsonl"))


def test_every_claim_and_its_verdict(study, evaluation, capsys):
    verdicts = {claim.text: claim.verdict for claim in main(study, evaluation)}
    assert verdicts == {
        "RL with tIoU + mvIoU is above SFT on all three metrics (sampled answers)": CONFIRMED,
        "RL with tIoU + mvIoU is above SFT on all three metrics (greedy answers)": CONFIRMED,
        "tIoU + mvIoU ends above mvIoU alone on m_vIoU (sampled answers)": CONFIRMED,
        "tIoU + mvIoU ends above mvIoU alone on m_vIoU (greedy answers)": CONFIRMED,
        "tIoU + mvIoU converges faster than mvIoU alone": CONFIRMED,
        "mvIoU alone gives a weak signal early, because its reward is 0 while windows miss": CONFIRMED,
        "1 FPS is the best training rate": CONFIRMED,
        "general understanding survives RL on grounding": CONFIRMED,
        "second-level tracks cost a fraction of frame-level ones": CONFIRMED,
        "smoothing between seconds improves tracks and keeps their span": NOT_CONFIRMED,  # it changed nothing
    }
    page = Path(study.page).read_text()
    assert page.startswith("# The paper in miniature\n\nWritten by `make this`")
    for text, verdict in verdicts.items():
        assert f"| {text} |" in page
        assert f"| **{verdict}** |" in page
    # 0.36 as the mean of five entries: at 0.02 an entry the sixth one, at 0.01 the ninth.
    assert "steps to a training m_vIoU of 0.360, by seed: tiou_mviou 30, 30; mviou 45, 45" in page
    assert "m_tIoU +0.300 [+0.300, +0.300] (seeds +0.300, +0.300)" in page
    assert "| with questions | RL | 0.800 | 0.800 | 0.500 | 0.250 |" in page
    assert "None" not in page.replace("steps: None", "").replace("GRPO: None", "")
    for name in ("rewards", "steps", "rates"):
        assert f"(images/page-{name}.svg)" in page
        assert "<svg" in (Path(study.page).parent / f"images/page-{name}.svg").read_text()
    assert "page: " in capsys.readouterr().out


def test_a_study_that_was_not_made_is_named(study, evaluation):
    (Path(study.study_out) / "reward-study.json").unlink()
    with pytest.raises(StageError, match=r"reward-study\.json: no such file; make paper-mini makes it"):
        main(study, evaluation)


def test_a_reward_without_runs_is_named(study, evaluation):
    path = Path(study.study_out) / "reward-study.json"
    summary = json.loads(path.read_text())
    del summary["rewards"]["mviou"]
    path.write_text(json.dumps(summary))
    with pytest.raises(StageError, match="no run with reward mviou"):
        main(study, evaluation)


def config(*names):
    """The options that name files of the tiny recipe."""
    return [word for name in names for word in ("--config", f"recipe/configs/tiny/{name}.yaml")]


def test_the_recipes_settings_fit_together():
    from recipe.studies import rewards as reward_study

    page, page_evaluation = parse(config("eval", "paper-mini"))
    rewards, evaluation = reward_study.parse(config("eval", "rewards", "paper-mini-rewards"))
    assert (page.study_out, page_evaluation) == (rewards.study_out, evaluation)
    assert len(rewards.seeds) >= 3
    more, _ = reward_study.parse(config("eval", "rewards", "paper-mini-rewards", "paper-mini-gpu-runs"))
    assert len(more.seeds) > len(rewards.seeds)
    assert more.rewards == rewards.rewards
    words = dict(zip(more.grpo_words[::2], more.grpo_words[1::2], strict=True))
    base = yaml.safe_load(Path("recipe/configs/tiny/grpo.yaml").read_text())
    assert int(words["--per_device_train_batch_size"]) == 8 * base["per_device_train_batch_size"]
    overlay, _ = parse(config("eval", "paper-mini", "paper-mini-gpu"))
    assert overlay.study_out == more.study_out
    assert overlay.page != page.page


# --- the whole path, really run ---------------------------------------------------------------------------------

SMALL = {
    "DATA_ARGS": "--scale 0.02",
    "CPT_ARGS": "--max_steps 3 --per_device_train_batch_size 4",
    "SFT_ARGS": "--max_steps 3 --per_device_train_batch_size 4",
    "EVAL_ARGS": "--max_new_tokens 8 --cost_clips 4",
}


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not Path(".venv/.done").exists(), reason="`make install` was not run")
def test_the_studies_and_the_page_from_one_command(tmp_path):
    pytest.importorskip("trackeval")
    few = {
        "rewards": ["tiou_mviou", "mviou", "viou"],
        "seeds": [0, 1],
        "max_new_tokens": 8,
        "grpo_words": [
            *("--max_steps", "2", "--per_device_train_batch_size", "8", "--num_generations", "4"),
            *("--max_completion_length", "8", "--logging_steps", "1"),
        ],
    }
    rates = {"rates": ["1", "2"], "max_new_tokens": 8, "sft_words": ["--max_steps", "2", "--logging_steps", "1"]}
    for name, settings in (("rewards", few), ("rates", rates)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(settings))
    words = [f"{name}={value}" for name, value in SMALL.items()] + [f"RUN={tmp_path / 'run'}"]
    (tmp_path / "questions.yaml").write_text(
        yaml.safe_dump(
            {
                "more": 6,
                "seeds": [0, 1],
                "max_new_tokens": 8,
                "grpo_words": few["grpo_words"],
                "sft_words": ["--max_steps", "2", "--per_device_train_batch_size", "4"],
            }
        )
    )
    words += [f"QUESTIONS_ARGS=--config {tmp_path / 'questions.yaml'}"]
    words += [f"REWARDS_ARGS=--config {tmp_path / 'rewards.yaml'}", f"FPS_ARGS=--config {tmp_path / 'rates.yaml'}"]
    done = subprocess.run(["make", "paper-mini", *words], capture_output=True, text=True, timeout=1400)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (tmp_path / "run/paper-mini.md").read_text()
    assert page.count("| **") == 10
    assert "| with questions | RL |" in page
    assert {path.name for path in (tmp_path / "run/images").iterdir()} == {
        f"paper-mini-{name}.svg" for name in ("rewards", "steps", "rates")
    }
