"""Groups whose rewards do not vary are replaced by whole groups of other prompts, and nothing else changes."""

import pytest
import torch
from trl import GRPOConfig

from recipe.rollouts.dynamic_sampling import exchange, flat_groups, normalised_advantages
from recipe.training.trainers import GroundingGRPOTrainer
from tests.helpers.tiny_parts import COMMON, parts

NAN = float("nan")


@pytest.mark.parametrize(
    ("rewards", "process", "groups", "flat", "remark"),
    [
        ([[0.0], [0.0], [1.0], [0.0]], 0, 2, [0], "one of two"),
        ([[0.3], [0.3], [0.3], [0.3]], 0, 2, [0, 1], "all"),
        ([[0.1], [0.2], [0.3], [0.4]], 0, 2, [], "none"),
        ([[0.1], [0.2], [0.3], [0.3]], 1, 1, [0], "those of the second process"),
        ([[NAN], [NAN], [NAN], [0.4]], 0, 2, [0, 1], "no reward at all, or a single one"),
    ],
)
def test_which_groups_are_flat(rewards, process, groups, flat, remark):
    assert flat_groups(torch.tensor(rewards), torch.tensor([1.0]), 2, process, groups) == flat


def test_variance_is_that_of_the_weighted_sum():
    rewards = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # the sum is 1 for both; a weight of 0 leaves the first alone
    assert flat_groups(rewards, torch.tensor([1.0, 1.0]), 2, 0, 1) == [0]
    assert flat_groups(rewards, torch.tensor([1.0, 0.0]), 2, 0, 1) == []


def test_with_gdpo_a_group_teaches_where_any_reward_varies():
    rewards = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.5, 0.5]])
    weights = torch.tensor([1.0, 1.0])
    assert flat_groups(rewards, weights, 2, 0, 2, separately=True) == [1]
    assert flat_groups(rewards, weights, 2, 0, 2) == [0, 1]
    assert flat_groups(rewards, torch.tensor([0.0, 0.0]), 2, 0, 2, separately=True) == [0, 1]


def rollout(prompts, completions, rows, mark):
    """A rollout of `rows` rows whose every value is `mark` plus its row's number."""
    values = torch.arange(rows).float()[:, None] + mark
    prompt, completion = values.repeat(1, prompts), values.repeat(1, completions)
    images = [1] * rows
    return {
        "prompt_ids": prompt.long(),
        "prompt_mask": torch.ones(rows, prompts).long(),
        "completion_ids": completion.long(),
        "completion_mask": torch.ones(rows, completions).long(),
        "old_per_token_logps": completion.clone(),
        "mm_token_type_ids": torch.cat([prompt, completion], dim=1).long(),
        "importance_sampling_ratio": values.clone(),
        "advantages": values.flatten(),
        "num_images": images,
        "image_grid_thw": torch.tensor([[1, 1, row % 2 + 1] for row in range(rows)]),
        "pixel_values": torch.cat([torch.full((row % 2 + 1, 3), float(row + mark)) for row in range(rows)]),
        "num_items_in_batch": torch.tensor(0),
    }


@pytest.mark.parametrize(("fresh_prompts", "fresh_completions"), [(2, 3), (5, 1), (1, 6)])
def test_rows_are_exchanged_with_their_pictures_and_padded_again(fresh_prompts, fresh_completions):
    output, fresh = rollout(2, 3, 6, 10), rollout(fresh_prompts, fresh_completions, 4, 50)
    result = exchange(output, fresh, [(1, 0), (2, 1)], each=2, pad_token=7)
    width, length = max(2, fresh_prompts), max(3, fresh_completions)
    assert result["advantages"].tolist() == [10, 11, 50, 51, 52, 53]
    assert result["importance_sampling_ratio"].flatten().tolist() == [10, 11, 50, 51, 52, 53]
    for row, (mark, prompts, completions) in enumerate(
        [(10, 2, 3), (11, 2, 3)] + [(50 + k, fresh_prompts, fresh_completions) for k in range(4)]
    ):
        assert result["prompt_ids"][row].tolist() == [7] * (width - prompts) + [mark] * prompts
        assert result["prompt_mask"][row].tolist() == [0] * (width - prompts) + [1] * prompts
        assert result["completion_ids"][row].tolist() == [mark] * completions + [7] * (length - completions)
        assert result["old_per_token_logps"][row].tolist() == [mark] * completions + [0] * (length - completions)
        inside = [0] * (width - prompts) + [mark] * (prompts + completions) + [0] * (length - completions)
        assert result["mm_token_type_ids"][row].tolist() == inside
    assert result["pixel_values"][:, 0].tolist() == [10, 11, 11, 50, 51, 51, 52, 53, 53]
    assert output["advantages"].tolist() == [10, 11, 12, 13, 14, 15], "the first rollout is left as it was"


def test_a_field_that_is_not_known_stops_it():
    output = rollout(2, 3, 4, 10) | {"tool_mask": torch.ones(4, 3)}
    with pytest.raises(RuntimeError, match="tool_mask"):
        exchange(output, output, [(0, 1)], each=2, pad_token=0)


@pytest.fixture
def trainer_of(tiny_data, tiny_base, tmp_path):
    """A trainer whose rewards vary for every other prompt of the data alone."""

    def build(rounds, flat_share=2, **settings):
        model, processor, _, rows = parts(tiny_data, tiny_base, False, 1e-4)
        varied = {rows[index]["id"] for index in range(len(rows)) if index % flat_share}

        def every_other(completions, **columns):
            ids = columns["id"]
            return [float(number % 3) if name in varied else 0.5 for number, name in enumerate(ids)]

        args = GRPOConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=8,
            num_generations=4,
            steps_per_generation=2,
            max_completion_length=8,
            log_multimodal=False,
            **COMMON | {"max_steps": 2, "logging_steps": 1} | settings,
        )
        trainer = GroundingGRPOTrainer(
            model=model, reward_funcs=every_other, args=args, train_dataset=rows, processing_class=processor
        )
        trainer.dynamic_sampling = rounds
        return trainer, rows, varied

    return build


def test_a_rollout_has_fewer_flat_groups_and_scores_as_if_drawn_at_once(trainer_of):
    trainer, rows, varied = trainer_of(rounds=8)
    trainer.model.train()
    flat = [index for index in range(len(rows)) if rows[index]["id"] not in varied]
    inputs = [dict(rows[index]) for index in [flat[0], 1, flat[1], 3] for _ in range(4)]
    output = trainer._generate_and_score_completions(inputs)
    groups = output["advantages"].view(-1, 4)
    assert (groups.abs().sum(dim=1) > 0).all(), "every group teaches"
    assert trainer._metrics["train"]["dynamic_sampling/replaced"] == [0.5]
    assert trainer._metrics["train"]["dynamic_sampling/left"] == [0.0]
    assert int(output["num_items_in_batch"]) == int(output["completion_mask"].sum())
    # Rows of two rollouts lie in one batch: their pictures, positions and tokens must still belong together.
    pictures = ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    with torch.no_grad():
        again, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, output["completion_ids"].shape[1], **{name: output[name] for name in pictures}
        )
    kept = output["completion_mask"].bool()
    assert torch.allclose(again[kept], output["old_per_token_logps"][kept], atol=1e-4)


@pytest.mark.parametrize(("rounds", "logged"), [(0, False), (2, True)])
def test_training_logs_the_share_in_any_case(trainer_of, rounds, logged):
    trainer, _, _ = trainer_of(rounds)
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert entries
    for entry in entries:
        assert 0 <= entry["frac_reward_zero_std"] <= 1
        assert ("dynamic_sampling/replaced" in entry) == logged


def test_advantages_of_gdpo_are_those_of_the_rollout_that_is_kept(trainer_of):
    """TRL scales them over the whole rollout, so those of two draws must not be mixed."""
    trainer, rows, varied = trainer_of(rounds=8, multi_objective_aggregation="normalize_then_sum")
    trainer.model.train()
    flat = [index for index in range(len(rows)) if rows[index]["id"] not in varied]
    inputs = [dict(rows[index]) for index in [flat[0], 1, flat[1], 3] for _ in range(4)]
    output = trainer._generate_and_score_completions(inputs)
    assert trainer._metrics["train"]["dynamic_sampling/replaced"] == [0.5]
    groups = output["advantages"].view(-1, 4)
    assert (groups.abs().sum(dim=1) > 0).all(), "every group teaches"
    assert groups.mean().abs() < 1e-6
    assert groups.std() == pytest.approx(1.0, abs=1e-3), "one scale for all groups"


def test_gdpos_advantages_are_trls(trainer_of):
    trainer, rows, _ = trainer_of(rounds=0, multi_objective_aggregation="normalize_then_sum")
    trainer.model.train()
    inputs = [dict(rows[index]) for index in (1, 2, 3, 5) for _ in range(4)]
    output = trainer._generate_and_score_completions(inputs)
    own = normalised_advantages(trainer._rewards, torch.tensor([1.0]), 4)
    assert torch.allclose(output["advantages"], own, atol=1e-6)


def test_the_same_prompts_are_drawn_after_a_resume(trainer_of):
    trainer, _, _ = trainer_of(rounds=1)
    names = [[row["id"] for row in trainer._other_rows(2, attempt)] for attempt in (0, 0, 1)]
    assert names[0] == names[1] != names[2]
    assert all(len(set(group[start : start + 4])) == 1 for group in names for start in (0, 4))
