"""GRPO says so when there are too few records to train on."""

import pytest
from trl import GRPOConfig

from data_prep.stages import StageError
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
        with pytest.raises(StageError, match=f"{records} records, but a rollout of {batch * steps} samples takes "):
            check_enough(records, args)
