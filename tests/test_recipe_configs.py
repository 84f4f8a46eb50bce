"""Every YAML of the tree parses with the parser of its stage; a typo is named."""

from pathlib import Path

import pytest

from recipe import before_after, evaluate, grpo, reward_study, study_lift, supervised, table1, tiny

CONFIGS = Path("recipe/configs")
PARSERS = {
    "cpt": [supervised.parse],
    "sft": [supervised.parse],
    "grpo": [grpo.parse],
    "eval": [evaluate.parse, before_after.parse],
    "study": [study_lift.parse],
    "reward-study": [reward_study.parse],
    "model": [tiny.parse],
    "table1": [table1.parse],
}
FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.stem != "data")


def test_the_tree_holds_them():
    assert {path.stem for path in FILES if path.parent.name in ("tiny", "configs")} == PARSERS.keys()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_it_parses_and_opens_with_its_story(path):
    text = path.read_text()
    assert text.startswith("# ")
    assert "make " in text or "python -m" in text
    for parse in PARSERS[path.stem]:
        assert parse(["--config", str(path)])


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_typo_is_named(path, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(path.read_text() + "\nlerning_rate: 1.0\n")
    with pytest.raises(ValueError, match="lerning_rate"):
        PARSERS[path.stem][0](["--config", str(wrong)])


def test_the_command_line_beats_the_yaml():
    _, training, _ = grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml", "--learning_rate", "5e-6"])
    assert training.learning_rate == 5e-6


def test_grpo_is_the_papers():
    script, training, _ = grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml"])
    assert (training.epsilon, training.epsilon_high, training.beta) == (0.2, 0.28, 0.0)
    assert training.scale_rewards == "group"
    assert training.loss_type == "grpo"
    assert training.importance_sampling_level == "token"
    assert script.reward == "tiou_mviou"


def test_an_unknown_reward_is_named():
    with pytest.raises(ValueError, match="reward 'vioux' is unknown; choose one of tiou_mviou, mviou, viou, tiou"):
        grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml", "--reward", "vioux"])
