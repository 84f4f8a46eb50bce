"""GRPO says so when there are too few records to train on, and hands the settings' weights to its trainer."""

from types import SimpleNamespace

import pytest
from trl import GRPOConfig

from data_prep.stages import StageError
from recipe import grpo
from recipe.grpo import check_enough
from tests.helpers.tiny_parts import COMMON


def rollout(**settings):
    return GRPOConfig(output_dir="unused", **COMMON | settings)


@pytest.mark.parametrize(
    ("records", "batch", "steps", "each", "enough"),
    [
        (8, 64, 2, 16, True),  # 128 samples of 16 each: 8 prompts
        (7, 64, 2, 16, False),  # TRL would leave the one unfilled rollout out and train nothing
        (2, 16, 2, 16, True),
        (0, 2, 1, 2, False),
    ],
)
def test_fewer_records_than_one_rollout_has_prompts(records, batch, steps, each, enough):
    args = rollout(per_device_train_batch_size=batch, steps_per_generation=steps, num_generations=each)
    if enough:
        check_enough(records, args)
    else:
        said = (
            f"{records} records, but a rollout of {batch * steps} samples takes " if records else "no record is left"
        )
        with pytest.raises(StageError, match=said):
            check_enough(records, args)


class Seen(Exception):
    """Raised by the stand-in for the trainer, with what it was given."""


@pytest.mark.parametrize(
    ("words", "functions", "weights"),
    [
        (["--reward", "tiou_mviou"], ["tiou_reward", "mviou_reward"], [1.0, 1.0]),
        (["--reward", "tiou_mviou", "--reward_weights", "1.0", "0.25"], ["tiou_reward", "mviou_reward"], [1.0, 0.25]),
        (["--reward", "viou", "--format_weight", "0.1"], ["viou_reward", "format_reward"], [1.0, 0.1]),
    ],
)
def test_the_weights_of_the_rewards_reach_the_trainer(words, functions, weights, monkeypatch):
    """TRL weighs all of them as 1 where it is told nothing, and trains something else without a word."""

    def trainer(**given):
        raise Seen(given)

    start = SimpleNamespace(stage=SimpleNamespace(folder=None), spent_before=0.0, checkpoint=None)
    model = SimpleNamespace(config=None)
    for name, value in {
        "begin": lambda *settings, **extra: start,
        "begin_run": lambda *settings, **others: None,
        "load_processor": lambda *settings: None,
        "load_model": lambda *settings: model,
        "row_builder": lambda *parts, **others: None,
        "training_rows": lambda *parts, **others: [{}] * 64,
        "peft_config": lambda *settings: None,
        "GroundingGRPOTrainer": trainer,
    }.items():
        monkeypatch.setattr(grpo, name, value)
    with pytest.raises(Seen) as seen:
        grpo.main(*grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml", *words]))
    given = seen.value.args[0]
    assert [function.__name__ for function in given["reward_funcs"]] == functions
    assert given["args"].reward_weights == weights


@pytest.mark.parametrize(("words", "printed"), [([], 4), (["--num_completions_to_print", "2"], 2)])
def test_a_log_prints_a_few_answers_and_not_all(words, printed):
    _, training, _ = grpo.parse(["--config", "recipe/configs/tiny/grpo.yaml", "--log_completions", "true", *words])
    assert training.num_completions_to_print == printed
