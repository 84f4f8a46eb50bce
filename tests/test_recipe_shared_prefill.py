"""Hugging Face's generate reads each distinct prompt of a rollout once, and samples what it sampled from copies."""

from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig
from transformers import StaticCache

from recipe.inputs.families import FAMILIES
from recipe.rollouts.shared_prefill import first_rows, prefill_once
from recipe.rollouts.vllm import ImageGRPOTrainer
from recipe.training.pixels import generating
from tests.test_recipe_pixels import PROMPTS, SAMPLES, SharedTrainer, trainer_of

OTHERS = sorted(FAMILIES.keys() - {"glm4v"})


def rows_of_a_rollout(trainer):
    """Return what TRL tokenizes of two groups whose prompts have the record's id as their text."""
    inputs = next(iter(trainer.get_train_dataloader()))
    prompts = []
    for row in inputs:
        parts = [{"type": "image", "image": image} for image in row["images"]]
        prompts.append([{"role": "user", "content": [*parts, {"type": "text", "text": row["id"]}]}])
    return trainer._tokenize_prompts(prompts)


def read_by(trainer, monkeypatch):
    """Note the rows of each forward pass of the model, and the patches that its vision tower gets."""
    seen = {"rows": [], "patches": [], "placed": []}
    model = generating(trainer)
    model.model.language_model.register_forward_hook(
        lambda module, args, kwargs, output: seen["rows"].append(len(kwargs["inputs_embeds"])), with_kwargs=True
    )
    model.model.visual.register_forward_pre_hook(lambda module, args: seen["patches"].append(len(args[0])))
    cls = type(model.model)
    upstream = cls.get_rope_index
    monkeypatch.setattr(
        cls,
        "get_rope_index",
        lambda self, ids, **kwargs: seen["placed"].append(len(ids)) or upstream(self, ids, **kwargs),
    )
    return seen


def sampled(trainer, rollout, prompts):
    torch.manual_seed(3)
    completions, logprobs = trainer._generate_single_turn(*rollout, SAMPLES)
    assert logprobs is None
    assert len(completions) == prompts * SAMPLES
    return completions


def one_by_one(trainer, rollout):
    """Sample as TRL does, from pixels that are copied for each row."""
    ids, images, fields = rollout
    fields = fields | {"pixel_values": fields["pixel_values"][:]}
    torch.manual_seed(3)
    return ImageGRPOTrainer._generate_single_turn(trainer, ids, images, fields, SAMPLES)[0]


@pytest.mark.parametrize("name", ["glm4v", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_what_is_sampled_is_what_copies_of_the_prompt_give(name, family_checkpoints, tiny_data, tmp_path, monkeypatch):
    trainer = trainer_of(SharedTrainer, family_checkpoints / name, tiny_data, tmp_path, max_completion_length=12)
    rollout = rows_of_a_rollout(trainer)
    assert len({len(ids) for ids in rollout[0]}) == PROMPTS  # so one of the groups is padded
    expected = one_by_one(trainer, rollout)
    seen = read_by(trainer, monkeypatch)
    assert sampled(trainer, rollout, PROMPTS) == expected
    assert len({tuple(row) for row in expected}) > PROMPTS
    assert seen["rows"][0] == PROMPTS and set(seen["rows"][1:]) == {PROMPTS * SAMPLES}
    distinct = {part.data_ptr(): len(part) for part in rollout[2]["pixel_values"].parts}
    assert sum(seen["patches"]) == sum(distinct.values())
    assert set(seen["placed"]) == {PROMPTS}
    assert "_prefill" not in vars(generating(trainer))
    assert "get_rope_index" not in vars(generating(trainer).model)


def test_with_an_adapter(family_checkpoints, tiny_data, tmp_path, monkeypatch):
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    trainer = trainer_of(SharedTrainer, family_checkpoints / "glm4v", tiny_data, tmp_path, peft_config=lora)
    rollout = rows_of_a_rollout(trainer)
    expected = one_by_one(trainer, rollout)
    seen = read_by(trainer, monkeypatch)
    assert sampled(trainer, rollout, PROMPTS) == expected
    assert seen["rows"][0] == PROMPTS


def test_a_cache_of_another_kind_is_refused_in_one_line():
    model = SimpleNamespace(_prefill=None, model=SimpleNamespace(get_rope_index=None))
    cache = StaticCache.__new__(StaticCache)
    with (
        prefill_once(model, [0, 0], [1, 1]),
        pytest.raises(
            RuntimeError, match="2 rows with a StaticCache came to the prefill; expected 2 and a DynamicCache"
        ),
    ):
        model._prefill(torch.zeros(2, 3), None, {"past_key_values": cache})


def test_rows_of_prompts_that_are_not_numbered_in_order_are_refused():
    assert first_rows([0, 1, 0, 2]) == [0, 1, 3]
    with pytest.raises(ValueError, match="row 1 has prompt 2; expected one seen before, or 1 as the next"):
        first_rows([0, 2])
