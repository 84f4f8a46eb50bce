"""Two learning rates reach the right parameters, and a GRPO step decodes each clip once."""

from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback
from trl import GRPOConfig, SFTConfig

from recipe.inputs.families import is_vision
from recipe.rewards import reward_functions
from recipe.training.trainers import GroundingGRPOTrainer, GroundingSFTTrainer
from stvg_rewards import METRIC_NAMES
from tests.helpers.tiny_parts import COMMON, parts


def sft_trainer(tiny_data, tiny_base, tmp_path, vision_rate, **settings):
    model, processor, _, rows = parts(tiny_data, tiny_base, True, vision_rate)
    settings = {"per_device_train_batch_size": 2, "max_length": None} | COMMON | settings
    args = SFTConfig(output_dir=str(tmp_path), **settings)
    trainer = GroundingSFTTrainer(model=model, args=args, train_dataset=rows, processing_class=processor)
    trainer.vision_learning_rate = vision_rate
    return trainer


def rates(trainer):
    """Parameter name -> its rate; every parameter that learns is in one group, and no other is in any."""
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    found = {}
    for group in trainer.optimizer.param_groups:
        for parameter in group["params"]:
            assert names[id(parameter)] not in found
            found[names[id(parameter)]] = group["lr"]
    assert found.keys() == {name for name, p in trainer.model.named_parameters() if p.requires_grad}
    return found


def test_the_vision_tower_has_its_own_rate(tiny_data, tiny_base, tmp_path):
    trainer = sft_trainer(tiny_data, tiny_base, tmp_path, 2e-4, weight_decay=0.01)
    trainer.create_optimizer()
    by_name = rates(trainer)
    assert {rate for name, rate in by_name.items() if ".visual." in name} == {2e-4}
    assert {rate for name, rate in by_name.items() if ".visual." not in name} == {1e-3}
    assert sum(".visual." in name for name in by_name) > 10
    # Decay stays as Trainer splits it: none for biases and norms, in both halves.
    for group in trainer.optimizer.param_groups:
        assert group["weight_decay"] in (0.0, 0.01)
    assert len(trainer.optimizer.param_groups) == 4
    assert trainer.create_optimizer() is trainer.optimizer
    assert len(trainer.optimizer.param_groups) == 4, "asked for again, it is not split again"


def test_without_a_rate_of_its_own_there_is_one(tiny_data, tiny_base, tmp_path):
    trainer = sft_trainer(tiny_data, tiny_base, tmp_path, None)
    trainer.create_optimizer()
    assert set(rates(trainer).values()) == {1e-3}


def test_the_schedule_scales_both_rates(tiny_data, tiny_base, tmp_path):
    trainer = sft_trainer(tiny_data, tiny_base, tmp_path, 2e-4, lr_scheduler_type="linear", warmup_steps=0)
    trainer.create_optimizer_and_scheduler(num_training_steps=4)
    trainer.optimizer.step()
    trainer.lr_scheduler.step()
    assert {round(rate, 12) for rate in rates(trainer).values()} == {0.75e-3, 1.5e-4}


def test_a_rate_of_zero_freezes_the_tower_and_the_rest_learns(tiny_data, tiny_base, tmp_path):
    trainer = sft_trainer(tiny_data, tiny_base, tmp_path, 0)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    moved = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not any(is_vision(name) for name in moved)


def test_both_halves_move_in_a_step(tiny_data, tiny_base, tmp_path):
    trainer = sft_trainer(tiny_data, tiny_base, tmp_path, 2e-4)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    moved = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert any(is_vision(name) for name in moved)
    assert any(not is_vision(name) for name in moved)


def test_each_token_weighs_the_same_however_a_batch_is_divided(tiny_data, tiny_base, tmp_path):
    """Of 4 rows, in one piece and in pieces of 1 and of 2; the pieces differ in length."""
    losses = []
    for pieces in (1, 2, 4):
        settings = {"per_device_train_batch_size": 4 // pieces, "gradient_accumulation_steps": pieces}
        trainer = sft_trainer(tiny_data, tiny_base, tmp_path / str(pieces), None, logging_steps=1, **settings)
        trainer.train()
        losses.append([trainer.state.log_history[0][key] for key in ("loss", "grad_norm")])
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    assert losses[2] == pytest.approx(losses[0], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "vision"),
    [
        ("model.visual.blocks.0.attn.qkv.weight", True),
        ("visual.merger.proj.weight", True),
        ("base_model.model.model.visual.blocks.0.attn.qkv.lora_A.weight", True),
        ("model.language_model.layers.0.self_attn.q_proj.weight", False),
        ("lm_head.weight", False),
        ("model.language_model.visually.weight", False),
    ],
)
def test_what_belongs_to_the_tower(name, vision):
    assert is_vision(name) is vision


def test_a_grpo_step_decodes_each_clip_of_its_batch_once(tiny_data, tiny_base, tmp_path):
    """4 prompts x 4 samples, used in 4 optimiser steps: the sampler asks for rows 64 times and more."""
    model, processor, builder, rows = parts(tiny_data, tiny_base, False, 1e-4)
    fetched = []
    upstream = builder.row

    def row(record):
        fetched.append(record["video"])
        return upstream(record)

    builder.row = row
    after_step = []

    class Count(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            after_step.append((len(fetched), builder.clips.decoded))

    args = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=8,
        num_generations=4,
        steps_per_generation=2,
        num_iterations=2,
        max_completion_length=8,
        log_multimodal=False,
        **COMMON | {"max_steps": 4},
    )
    trainer = GroundingGRPOTrainer(
        model=model,
        reward_funcs=reward_functions("tiou_mviou"),
        args=args,
        train_dataset=rows,
        processing_class=processor,
        callbacks=[Count()],
    )
    trainer.train()
    assert len(after_step) == 4
    for asked, decoded in after_step:
        assert decoded == len(set(fetched[:asked]))
    assert len(fetched) >= 4 * 16
    assert after_step[0][1] <= 2 * 4, "this batch, and the next one that is fetched ahead"
    assert Path(tmp_path).exists()


def constant_reward(completions, **kwargs):
    return [float(place % 2) for place in range(len(completions))]


@pytest.mark.parametrize("words", [["viou"], ["stvg_rewards.scaled_tiou_reward"], None])
def test_scores_are_logged_whatever_is_rewarded(tiny_data, tiny_base, tmp_path, words):
    """A run without them could be compared with none: the soft rewards and a user's own logged none."""
    model, processor, _, rows = parts(tiny_data, tiny_base, False, None)
    trainer = GroundingGRPOTrainer(
        model=model,
        reward_funcs=reward_functions(words) if words else [constant_reward],
        args=GRPOConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=4,
            num_generations=2,
            max_completion_length=8,
            log_multimodal=False,
            logging_steps=1,
            **COMMON,
        ),
        train_dataset=rows,
        processing_class=processor,
    )
    trainer.train()
    logged = next(entry for entry in trainer.state.log_history if "reward" in entry)
    assert set(METRIC_NAMES) <= logged.keys()
