"""Prompts computed once give what TRL's own rows give: loss, gradients, a step's parameters and the logged ratios."""

import pytest
import torch
from trl import GRPOConfig

from recipe.training.trainers import GroundingGRPOTrainer
from tests.helpers.tiny_parts import COMMON, parts

SHARING = ["glm4v", "qwen3_vl", pytest.param("glm46v", marks=pytest.mark.slow)]
SHARING += [pytest.param("glmga", marks=pytest.mark.slow), "qwen2_5_vl"]
LENGTHS = (8, 1, 5, 0, 3, 8, 2, 7)  # answer tokens of the rows; of 0 the whole answer is masked
PROMPTS, EACH = 2, 4


def alternating(completions, **kwargs):
    return [float(place % 2) + 0.1 * place for place in range(len(completions))]


class Varied(GroundingGRPOTrainer):
    """Rollouts whose answers differ in length, some with old ratios that clip, and which keeps what a step computes."""

    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        width = output["completion_ids"].shape[1]
        output["completion_mask"] = (torch.arange(width) < torch.tensor(LENGTHS)[:, None]).int()
        ids, mask = (torch.cat([output[f"prompt_{k}"], output[f"completion_{k}"]], dim=1) for k in ("ids", "mask"))
        names = ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")
        with torch.no_grad():
            old, *_ = self._get_per_token_logps_and_entropies(
                self.model, ids, mask, width, batch_size=3, **{name: output.get(name) for name in names}
            )
        noise = torch.Generator().manual_seed(3)
        self.old = old
        self.prompts = output["prompt_mask"].sum(dim=1).tolist()
        return output | {"old_per_token_logps": old + 0.3 * torch.randn(old.shape, generator=noise)}


def train(data, folder, out, shared, model=None, **settings):
    """One step of SGD at a rate of 1: the parameters move by the gradient. Returns the trainer."""
    loaded, processor, _, rows = parts(data, folder, False, None)
    model = loaded if model is None else model
    shared_settings = {"per_device_train_batch_size": PROMPTS * EACH, "num_generations": EACH, "beta": 0.0}
    shared_settings |= {"max_completion_length": 8, "log_multimodal": False, "loss_type": "grpo", "optim": "sgd"}
    shared_settings |= {"logging_steps": 1, "max_grad_norm": 0.0}
    args = GRPOConfig(output_dir=str(out), **COMMON | {"learning_rate": 1.0} | shared_settings | settings)
    trainer = Varied(
        model=model, reward_funcs=[alternating], args=args, train_dataset=rows, processing_class=processor
    )
    trainer.shared_prefix = shared
    trainer.train()
    return trainer


TIMES = ("seconds/", "step_time", "train_runtime", "profiling/")


def assert_same(one, other):
    """Old log-probabilities, parameters and everything logged but times agree."""
    assert torch.allclose(one.old, other.old, atol=1e-5, rtol=0)
    before, after = one.model.state_dict(), other.model.state_dict()
    for name, value in before.items():
        assert torch.allclose(value, after[name], atol=1e-5, rtol=0), name
    ours, theirs = one.state.log_history[0], other.state.log_history[0]
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if not name.startswith(TIMES):
            assert value == pytest.approx(theirs[name], abs=1e-5, nan_ok=True), name


@pytest.mark.parametrize("name", SHARING)
def test_a_step_is_that_of_own_rows(name, family_checkpoints, tiny_data, tmp_path):
    own = train(tiny_data, family_checkpoints / name, tmp_path, False)
    shared = train(tiny_data, family_checkpoints / name, tmp_path, True)
    assert len(set(own.prompts)) > 1, "prompts of different length are padded"
    assert own.state.log_history[0]["clip_ratio/region_mean"] > 0
    assert_same(own, shared)
