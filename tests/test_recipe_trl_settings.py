"""Settings that TRL refuses late or ignores: each trips its check, and the recipes' own trip none."""

import pytest
from trl import GRPOConfig, SFTConfig

from recipe.checks.earnings import earned, events_leave_room, rewards_can_be_earned
from recipe.checks.settings import rollouts_are_whole
from recipe.checks.trl_settings import attention_is_there, grpo_settings, rows_are_kept, supervised_settings
from recipe.rewards import make_variant


def nothing_installed(package):
    return False


def everything_installed(package):
    return True


def sft(tmp_path, **more):
    return SFTConfig(
        str(tmp_path), use_cpu=True, bf16=False, remove_unused_columns=False, **({"max_length": None} | more)
    )


def grpo(tmp_path, **more):
    own = {"loss_type": "grpo", "epsilon": 0.2, "epsilon_high": 0.28, "beta": 0.0, "num_generations": 2}
    own |= {"per_device_train_batch_size": 2, "use_cpu": True, "bf16": False, "remove_unused_columns": False}
    return GRPOConfig(str(tmp_path), **(own | more))


def line(findings):
    (finding,) = findings
    assert "\n" not in str(finding)
    return str(finding)


def test_flash_attention_without_its_package():
    assert attention_is_there("sdpa", nothing_installed) == attention_is_there(None, nothing_installed) == []
    assert attention_is_there("flash_attention_2", lambda package: package == "flash_attn") == []
    assert attention_is_there("flash_attention_2", lambda package: package == "kernels") == []
    text = line(attention_is_there("flash_attention_2", nothing_installed))
    assert text.startswith("refused: attention: attn_implementation flash_attention_2 needs the package flash_attn")


def test_columns(tmp_path):
    assert rows_are_kept(sft(tmp_path)) == []
    assert line(rows_are_kept(SFTConfig(str(tmp_path), use_cpu=True, bf16=False))).startswith("refused: columns: ")


@pytest.mark.parametrize(
    ("more", "start"),
    [
        ({"packing": True, "max_length": 64}, "refused: packing: packing true is refused by TRL"),
        ({"padding_free": True}, "refused: padding_free: "),
        ({"assistant_only_loss": True}, "refused: assistant_only_loss: "),
        ({"eval_packing": True}, "refused: packing: eval_packing true"),
        ({"completion_only_loss": False}, "warning: loss: completion_only_loss false also trains on the prompt"),
        ({"pad_to_multiple_of": 8}, "refused: padding: pad_to_multiple_of 8 is not implemented"),
        ({"max_length": 64, "truncation_mode": "keep_end"}, "refused: max_length: truncation_mode keep_end"),
        ({"use_liger_kernel": True}, "refused: liger: use_liger_kernel true needs the package liger-kernel"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*keep_end.*:FutureWarning")
def test_supervised_settings(tmp_path, more, start):
    assert supervised_settings(sft(tmp_path), nothing_installed) == []
    assert line(supervised_settings(sft(tmp_path, **more), nothing_installed)).startswith(start)


def test_liger_with_its_package(tmp_path):
    layers = sft(tmp_path, use_liger_kernel=True)
    assert line(supervised_settings(layers, everything_installed)).startswith(
        "warning: liger: use_liger_kernel replaces"
    )
    loss = sft(tmp_path, use_liger_kernel=True, liger_kernel_config={"fused_linear_cross_entropy": True})
    assert line(supervised_settings(loss, everything_installed)).startswith(
        "refused: liger: fused_linear_cross_entropy"
    )


@pytest.mark.parametrize(
    ("more", "start"),
    [
        ({"temperature": 0.0}, "refused: temperature: temperature 0 makes all answers of a group the same"),
        (
            {"loss_type": "cispo"},
            "refused: loss: loss_type cispo caps the weight of every token at epsilon_high, and 0.28",
        ),
        ({"loss_type": "sapo"}, "warning: loss: loss_type sapo ignores epsilon 0.2 and epsilon_high 0.28"),
        ({"loss_type": "vespo"}, "warning: loss: loss_type vespo ignores epsilon 0.2"),
        ({"loss_type": "luspo"}, "warning: loss: loss_type luspo is defined for importance_sampling_level sequence"),
        (
            {"loss_type": "dapo", "importance_sampling_level": "sequence"},
            "warning: loss: loss_type dapo sums over tokens",
        ),
        ({"importance_sampling_level": "word"}, "refused: loss: importance_sampling_level 'word' is unknown"),
        (
            {"importance_sampling_level": "response", "loss_type": "dapo", "beta": 0.1},
            "refused: loss: importance_sampling_level response (eq. 7) does not go with loss_type dapo",
        ),
        ({"top_p": 0.9}, "warning: sampling: top_p 0.9 draws rollouts from a changed distribution"),
        ({"top_k": 20}, "warning: sampling: top_k 20"),
        ({"min_p": 0.1}, "warning: sampling: min_p 0.1"),
        ({"repetition_penalty": 1.05}, "warning: sampling: repetition_penalty 1.05"),
        ({"top_p": 0.9, "use_vllm": True}, "refused: sampling: top_p 0.9"),
        ({"delta": 1.2}, "warning: loss: delta 1.2 lies below 1 + epsilon_high"),
        ({"delta": 4.0, "loss_type": "cispo", "epsilon_high": 5.0}, "warning: loss: delta 4 has no effect"),
        ({"sync_ref_model": True}, "refused: reference: "),
        ({"use_transformers_continuous_batching": True}, "refused: rollouts: "),
    ],
)
def test_grpo_settings(tmp_path, more, start):
    assert grpo_settings(grpo(tmp_path), nothing_installed) == []
    assert line(grpo_settings(grpo(tmp_path, **more), nothing_installed)).startswith(start)


def test_the_ratio_of_eq_7_goes_with_the_papers_settings(tmp_path):
    assert grpo_settings(grpo(tmp_path, importance_sampling_level="response"), nothing_installed) == []


def test_vespo_with_vllms_sequence_ratio(tmp_path):
    more = {"loss_type": "vespo", "use_vllm": True, "vllm_importance_sampling_mode": "sequence_mask"}
    _, refused = grpo_settings(grpo(tmp_path, **more), nothing_installed)
    assert str(refused).startswith(
        "refused: loss: loss_type vespo is refused with vllm_importance_sampling_mode sequence"
    )


def test_a_checkpoint_inside_a_rollout(tmp_path):
    whole = {"steps_per_generation": 4, "gradient_accumulation_steps": 2}  # a rollout is two optimiser steps
    assert rollouts_are_whole(grpo(tmp_path, save_steps=4, **whole)) == []
    assert line(rollouts_are_whole(grpo(tmp_path, save_steps=3, **whole))).startswith(
        "refused: save_steps: save_steps 3"
    )


RECORD = {
    "id": "a/1",
    "kind": "grounding",
    "label": "cat",
    "seconds": 10,
    "span": [2, 3],
    "track": [{"second": k, "box": [0.1, 0.1, 0.5, 0.5]} for k in (2, 3)],
}
TRUE = '{"2": [100, 100, 500, 500], "3": [100, 100, 500, 500]}'
SPAN_ONLY = RECORD | {"track": None}


def answer(record):
    return TRUE, (1000, 1000)


def test_what_the_true_answer_earns():
    assert earned(make_variant("tiou_mviou"), RECORD, TRUE, (1000, 1000)) == pytest.approx(2.0)
    assert earned(make_variant("tiou_mviou", [1.0, 0.5]), RECORD, TRUE, (1000, 1000)) == pytest.approx(1.5)
    assert earned(make_variant("mviou"), SPAN_ONLY, TRUE, (1000, 1000)) == 0.0


def test_rewards_that_no_row_can_earn():
    variant = make_variant("mviou", format_weight=0.1, length_weight=0.1)  # neither makes up for what is missing
    assert rewards_can_be_earned(variant, [SPAN_ONLY, RECORD], 2, answer) == []
    assert rewards_can_be_earned(variant, [], 0, answer) == []
    text = line(rewards_can_be_earned(variant, [SPAN_ONLY], 7, answer))
    assert text.startswith(
        "refused: rewards: the true answers of all 1 records that were looked at (of 7) earn nothing"
    )
    text = line(rewards_can_be_earned(variant, [], 7, answer))
    assert text.startswith("refused: rewards: none of 7 records has a track")


def test_a_users_own_reward_is_not_judged():
    variant = make_variant("tests.test_recipe_trl_settings.of_my_own_reward")
    assert rewards_can_be_earned(variant, [SPAN_ONLY], 1, answer) == []


def of_my_own_reward(completions, **columns):
    raise AssertionError("a user's reward is not called by a check")


def test_events_that_fill_their_clips():
    whole = RECORD | {"span": [0, 8]}
    assert events_leave_room([RECORD, RECORD, whole], ["tiou_reward"]) == []
    assert events_leave_room([whole, whole, RECORD], ["format_reward"]) == []
    text = line(events_leave_room([whole, whole, RECORD], ["tiou_reward", "mviou_reward"]))
    assert text.startswith(
        "warning: rewards: half of the 3 events that were looked at fill 90% or more of their clips"
    )
