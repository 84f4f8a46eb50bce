"""Which chat template a family trains with, and that it is the same prompt everywhere."""

from pathlib import Path

import pytest
from transformers import AutoConfig, AutoProcessor
from trl import ModelConfig

from recipe.inputs.chat_templates import can_train, ensure_template
from recipe.inputs.families import FAMILIES, family_of
from recipe.inputs.loading import load_processor
from recipe.serve import template_words
from tests.helpers.published_templates import PUBLISHED

REPLACED = {"glm4v", "glm46v", "glmga", "qwen3_5"}
USER = {
    "role": "user",
    "content": [{"type": "text", "text": "0s"}, {"type": "image"}, {"type": "text", "text": "Who?"}],
}


def published(family_checkpoints, name):
    return AutoProcessor.from_pretrained(family_checkpoints / name)


@pytest.mark.parametrize("name", FAMILIES)
def test_only_a_template_that_cannot_train_is_replaced(name, family_checkpoints):
    processor = published(family_checkpoints, name)
    assert processor.chat_template == PUBLISHED[name]
    assert can_train(processor, FAMILIES[name]) == (name not in REPLACED)
    assert ensure_template(processor, FAMILIES[name], name) == (name in REPLACED)
    assert can_train(processor, FAMILIES[name])
    assert not ensure_template(processor, FAMILIES[name], name), "a stage's checkpoint keeps it"


def test_a_checkpoint_without_a_template_gets_one(family_checkpoints):
    """As GLM-4.1V-9B-Base is published."""
    processor = published(family_checkpoints, "glm4v")
    processor.chat_template = None
    assert ensure_template(processor, FAMILIES["glm4v"], "base")
    assert can_train(processor, FAMILIES["glm4v"])


@pytest.mark.parametrize("name", FAMILIES)
def test_loading_sets_it_and_saving_keeps_it(name, family_checkpoints, tmp_path):
    processor = load_processor(ModelConfig(model_name_or_path=str(family_checkpoints / name)))
    processor.save_pretrained(tmp_path)
    AutoConfig.from_pretrained(family_checkpoints / name).save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    family = family_of(AutoConfig.from_pretrained(tmp_path), again)
    assert family.name == name
    texts = [one.apply_chat_template([USER], tokenize=False, add_generation_prompt=True) for one in (processor, again)]
    assert texts[0] == texts[1]
    assert texts[0].count(family.image_token) == 1
    assert "Who?" in texts[0]


@pytest.mark.parametrize("name", sorted(REPLACED))
def test_the_prompt_is_the_published_one_but_for_where_the_reasoning_begins(name, family_checkpoints):
    before = published(family_checkpoints, name)
    after = published(family_checkpoints, name)
    ensure_template(after, FAMILIES[name], name)
    was, now = (one.apply_chat_template([USER], tokenize=False, add_generation_prompt=True) for one in (before, after))
    head = now.removesuffix("\n")
    assert was.startswith(head)
    assert was.removeprefix(head) in ("", "\n", "\n<think>\n")


@pytest.mark.parametrize("name", sorted(REPLACED))
def test_strings_and_parts_are_the_same_prompt(name, family_checkpoints):
    processor = published(family_checkpoints, name)
    ensure_template(processor, FAMILIES[name], name)
    turns = [("user", "Who?"), ("assistant", "A cat."), ("user", "When?")]
    strings = [{"role": role, "content": text} for role, text in turns]
    parts = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]
    as_text, as_parts = (processor.apply_chat_template(one, tokenize=False) for one in (strings, parts))
    assert as_text == as_parts
    ended = as_text.split("A cat.")[1]
    assert ended.startswith(("<|user|>", "<|im_end|>")), "a turn ends with the token that generation stops at"
    assert not ended.startswith("<|user|><|user|>")


def test_a_served_checkpoint_writes_the_same_prompt(family_checkpoints, tiny_base, tmp_path):
    """vLLM is told the template where the checkpoint's own would be used; what a stage saved has it."""
    (flag, path) = template_words(str(family_checkpoints / "glm46v"))
    assert flag == "--chat-template"
    processor = load_processor(ModelConfig(model_name_or_path=str(family_checkpoints / "glm46v")))
    assert Path(path).read_text() == processor.chat_template
    processor.save_pretrained(tmp_path)
    AutoConfig.from_pretrained(family_checkpoints / "glm46v").save_pretrained(tmp_path)
    assert template_words(str(tmp_path)) == template_words(str(tiny_base)) == []
    assert template_words(str(family_checkpoints / "qwen3_vl")) == []
