"""Eq. 7 as written: the ratio of whole responses, its clipped loss (eq. 8) and its gradient, against the formula."""

import pytest
import torch
from trl import GRPOConfig

from recipe.training.trainers import GroundingGRPOTrainer
from tests.helpers.tiny_parts import COMMON, parts


def lengths(completions, **columns):
    """Reward anything that varies within a group."""
    return [float(index % 3) for index in range(len(completions))]


@pytest.fixture
def trainer_of(tiny_data, tiny_base, tmp_path):
    def build(level, **settings):
        torch.manual_seed(0)
        model, processor, _, rows = parts(tiny_data, tiny_base, False, 1e-4)
        args = GRPOConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=4,
            num_generations=4,
            steps_per_generation=2,
            max_completion_length=8,
            importance_sampling_level=level,
            loss_type="grpo",
            epsilon=0.2,
            epsilon_high=0.28,
            beta=0.0,
            log_multimodal=False,
            **COMMON | {"max_steps": 4, "logging_steps": 1} | settings,
        )
        return GroundingGRPOTrainer(
            model=model, reward_funcs=lengths, args=args, train_dataset=rows, processing_class=processor
        ), rows

    return build


def second_use(trainer, rows):
    """Draw a rollout, and return it as of an older policy: each token's old log-probability is off by a known bit."""
    trainer.model.train()
    output = trainer._generate_and_score_completions([dict(rows[0]) for _ in range(4)])
    model = trainer.model
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    pictures = ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")
    model.eval()
    logps, _, _ = trainer._get_per_token_logps_and_entropies(
        model, ids, mask, output["completion_ids"].shape[1], **{name: output[name] for name in pictures}
    )
    shifts = torch.tensor([0.02, -0.02, 0.2, -0.2])[:, None]  # of a token; a response of 8 tokens moves by 8 times it
    output["old_per_token_logps"] = (logps - shifts).detach()
    output["advantages"] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    return output, logps, shifts


def gradients(trainer, loss):
    trainer.model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}


def test_loss_and_gradient_are_those_of_eq_7_and_8(trainer_of):
    trainer, rows = trainer_of("response")
    output, logps, _ = second_use(trainer, rows)
    trainer.current_gradient_accumulation_steps = 1
    mask = output["completion_mask"]
    ratio = ((logps - output["old_per_token_logps"]) * mask).sum(dim=1).exp()  # eq. 7, no mean over tokens
    advantages = output["advantages"]
    clipped = ratio.clamp(0.8, 1.28)
    expected = -torch.min(ratio * advantages, clipped * advantages).mean()  # eq. 8 over the group
    assert ((ratio < 0.8) | (ratio > 1.28)).tolist()[2:] == [True, True], "the case has clipped responses"
    wanted = gradients(trainer, expected)
    loss = trainer._compute_loss(trainer.model, output)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    got = gradients(trainer, loss)
    assert got.keys() == wanted.keys()
    for name, gradient in got.items():
        assert torch.allclose(gradient, wanted[name], atol=1e-5), name
    assert trainer.importance_sampling_level == "response", "the setting is as it was"


def test_the_geometric_mean_of_trl_is_another_loss(trainer_of):
    losses = []
    for level in ("response", "sequence"):
        trainer, rows = trainer_of(level)
        output, _, _ = second_use(trainer, rows)
        trainer.current_gradient_accumulation_steps = 1
        losses.append(trainer._compute_loss(trainer.model, output).item())
    assert abs(losses[0] - losses[1]) > 0.01


def test_it_trains_and_logs_the_share_that_was_clipped(trainer_of):
    trainer, _ = trainer_of("response")
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "clip_ratio/region_mean" in entry]
    assert len(entries) == 4
    assert all(0 <= entry["clip_ratio/region_mean"] <= 1 for entry in entries)
