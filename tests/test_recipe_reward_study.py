"""The reward study trains every variant with every seed from one checkpoint; training itself is not run here."""

import json

import pytest

from recipe.evaluate import EvalArguments
from recipe.studies import rewards as reward_study
from recipe.studies.harness import SUMMARY_METRICS
from recipe.studies.rewards import RewardStudyArguments, arms, curve, main, parse, to_one_score

EVALUATION = EvalArguments(tracks="t")


def log(folder, scores):
    folder.mkdir(parents=True, exist_ok=True)
    history = [{"step": 5 * (k + 1), "vIoU": score, "tIoU": score + 0.1} for k, score in enumerate(scores)]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))


@pytest.fixture
def trained(monkeypatch):
    """What was asked for; the reward with mvIoU alone learns half as fast."""
    asked = []

    def run_stage(args, stage, out, seed, *words):
        asked.append((stage, out.name, seed, words))
        speed = 0.01 if "grpo-mviou" in out.name else 0.02
        log(out, [0.3 + speed * k + 0.001 * seed for k in range(10)])
        return {}

    def evaluate_both(args, checkpoint):
        value = 0.3 if checkpoint.name == "sft" else 0.4 + 0.01 * int(checkpoint.name[-1])
        return dict.fromkeys(("sampled", "greedy"), (dict.fromkeys(SUMMARY_METRICS, value), []))

    monkeypatch.setattr(reward_study, "run_stage", run_stage)
    monkeypatch.setattr(reward_study, "evaluate_both", evaluate_both)
    return asked


def test_every_variant_and_seed_from_one_checkpoint(tmp_path, trained, capsys):
    words = ["--max_steps", "2"]
    main(
        RewardStudyArguments(
            run=str(tmp_path), seeds=[0, 2], jobs=1, rewards=["tiou_mviou", "mviou"], grpo_words=words
        ),
        EVALUATION,
    )
    model = ("--model_name_or_path", f"{tmp_path}/sft", *words)
    assert trained == [
        ("grpo", f"grpo-{name}-s{seed}", seed, ("--reward", name, *model))
        for name in ("tiou_mviou", "mviou")
        for seed in (0, 2)
    ]
    said = capsys.readouterr().out
    assert "| sampled | none (SFT) | 0.300 |" in said
    # Means over seeds 0 and 2: 0.40 and 0.42. The slow one is best at step 50: 0.371, the mean of its last 5 entries.
    # The fast one's mean of entries 2 to 6 (from 0) is 0.381, and 0.361 one entry before: step 35.
    rows = [line for line in said.splitlines() if line.startswith("| greedy")]
    assert rows[1].startswith("| greedy | tiou_mviou | 0.410 (0.400 to 0.420) |")
    assert rows[1].endswith("| 35 | 35 |")
    assert rows[2].endswith("| 50 | 50 |")
    summary = json.loads((tmp_path / "reward-study.json").read_text())
    assert summary["steps_to"]["m_vIoU"]["score"] == pytest.approx(0.3 + 0.01 * 7 + 0.001)
    assert (tmp_path / "reward-study.md").read_text().strip() == said.strip()
    assert "<svg" in (tmp_path / "reward-study.svg").read_text()


def test_an_arm_may_have_weights_of_its_own(tmp_path, trained, capsys):
    """Both lay in one folder, and the second was "made again" over the first."""
    rewards = ["tiou_mviou", "tiou_mviou --reward_weights 1 0.5", "stvg_rewards.scaled_tiou_reward mviou"]
    main(RewardStudyArguments(run=str(tmp_path), seeds=[0, 2], jobs=1, rewards=rewards), EVALUATION)
    names = ["tiou_mviou", "tiou_mviou-1-0.5", "mviou+scaled_tiou"]
    assert [name for _, name, _, _ in trained] == [f"grpo-{name}-s{seed}" for name in names for seed in (0, 2)]
    assert trained[2][3][:5] == ("--reward", "tiou_mviou", "--reward_weights", "1", "0.5")
    assert trained[4][3][:3] == ("--reward", "stvg_rewards.scaled_tiou_reward", "mviou")
    assert list(json.loads((tmp_path / "reward-study.json").read_text())["rewards"]) == names
    assert "| greedy | tiou_mviou-1-0.5 |" in capsys.readouterr().out


def test_an_arm_may_have_any_setting_of_grpo(tmp_path, trained):
    """Eq. 7 as written and GDPO are arms: each has a name, a folder and its options of its own."""
    eq7, gdpo = "--importance_sampling_level response", "--multi_objective_aggregation normalize_then_sum"
    settings = RewardStudyArguments(run=str(tmp_path), rewards=["viou", f"viou {eq7}", f"viou {gdpo}"])
    named = arms(settings)
    assert list(named) == [
        "viou",
        "viou+importance_sampling_level-response",
        "viou+multi_objective_aggregation-normalize_then_sum",
    ]
    assert named["viou+importance_sampling_level-response"] == ["--reward", "viou", *eq7.split()]
    with pytest.raises(ValueError, match="importance_level"):
        RewardStudyArguments(run=str(tmp_path), rewards=["viou --importance_level response"])


def test_settings_of_every_run_are_in_the_names(tmp_path, trained):
    words = ["--format_weight", "0.1"]
    main(RewardStudyArguments(run=str(tmp_path), seeds=[0, 1], jobs=1, rewards=["viou"], grpo_words=words), EVALUATION)
    assert trained[0][1] == "grpo-viou+format-0.1-s0"


def test_a_curve_over_seeds_of_different_length(tmp_path):
    log(tmp_path / "a", [0.1, 0.3, 0.5])
    log(tmp_path / "b", [0.3, 0.5])
    found = curve([tmp_path / "a", tmp_path / "b"], "vIoU")
    assert found["step"] == [5, 10]
    assert found["mean"] == pytest.approx([0.2, 0.3])
    assert (found["low"], found["high"]) == (pytest.approx([0.1, 0.2]), pytest.approx([0.3, 0.4]))


def test_nothing_was_logged(tmp_path):
    (tmp_path / "a").mkdir()
    found = to_one_score({"a": curve([tmp_path / "a"], "vIoU")})
    assert found["steps"] == {"a": None}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rewards": ["iou"]}, "reward 'iou' is unknown"),
        ({"rewards": ["viou --reward_weights 1 2"]}, "reward viou has 1 functions"),
        ({"rewards": ["viou --reward_weights many"]}, "invalid float value: 'many'"),
        ({"rewards": ["viou", "stvg_rewards.viou_reward"]}, "two arms are the variant viou; name it once"),
        ({"seeds": [1, 1]}, "expected at least 2"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        RewardStudyArguments(**settings)


def test_the_recipes_own_settings():
    args, _ = parse(["--config", "recipe/configs/tiny/eval.yaml", "--config", "recipe/configs/tiny/rewards.yaml"])
    assert len(args.seeds) >= 3
    assert args.rewards == ["tiou_mviou", "mviou", "viou", "tiou"]
