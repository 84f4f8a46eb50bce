"""The labels gate: rows of every kind through each family's processor and TRL's collator, and what is refused."""

import json
from dataclasses import replace

import pytest
from transformers import AutoConfig, AutoProcessor
from trl import ModelConfig

from data_prep.records import read_records
from recipe import preflight
from recipe.checks import stage as checks_stage
from recipe.checks.labels import Taught, end_ids, labels_are_the_completion, prompts_are_the_same
from recipe.inputs.families import FAMILIES
from recipe.inputs.loading import load_processor
from tests.helpers.published_templates import PUBLISHED

CANNOT_TRAIN = {
    "glm4v": "\"[{'type': 'text', 'text': ",
    "glm46v": r"'\n<think></think>\n",
    "glmga": r"'\n<think></think>\n",
    "qwen3_5": "'\\n</think>",
}


@pytest.fixture(scope="module")
def tracks(tiny_data, tmp_path_factory):
    """A record of each kind: with and without reasoning, of several objects, a caption and a question."""
    grounded = next(read_records(tiny_data / "ground.jsonl")) | {"kind": "declarative"}
    bare = grounded | {"id": "bare", "reasoning": None}
    objects = [{"label": label, "track": grounded["track"]} for label in ("a-1", "b-2")]
    scene = bare | {"id": "scene", "kind": "scene", "tracks": objects, "track": None, "label": None, "span": None}
    words = bare | dict.fromkeys(("label", "span", "track")) | {"answer": "a red ball"}
    records = [grounded, bare, scene, words | {"id": "qa", "kind": "qa"}, words | {"id": "caption", "kind": "caption"}]
    path = tmp_path_factory.mktemp("kinds") / "kinds.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert [record["id"] for record in read_records(path)] == [record["id"] for record in records]
    return path


@pytest.fixture
def words(tiny_data, family_checkpoints, tracks, tmp_path):
    """The arguments of a stage over those records with a family's small checkpoint."""

    def arguments(name, stage="sft", *more):
        found = ["--config", f"recipe/configs/tiny/{stage}.yaml", "--tracks", str(tracks)]
        found += ["--model_name_or_path", str(family_checkpoints / name), "--video_root", str(tiny_data / "videos")]
        validation = ["--validation_tracks", str(tiny_data / "test.jsonl")]
        return [*found, *validation, "--output_dir", str(tmp_path / "out"), *more]

    return arguments


def refusals(arguments):
    *settings, launch, _, _ = preflight.parse(arguments)
    return [str(found) for found in checks_stage.check(*settings, launch)[0] if found.refused]


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_teaches_the_completion_and_an_end(name, words, capsys):
    """Shown too: each kind once, pictures folded, labels that end with the family's end token."""
    arguments = words(name)
    assert refusals(arguments) == []
    preflight.main(*preflight.parse([*arguments, "--show_rows"]))
    shown = capsys.readouterr().out
    family = FAMILIES[name]
    kinds = ["caption", "declarative", "declarative with reasoning", "qa", "scene"]
    assert [line[4:].split(":")[0] for line in shown.splitlines() if line.startswith("--- ")] == kinds
    assert f"{family.image_token} x 4 " in shown
    assert f"a red ball{family.end_tokens[0]}" in shown
    assert shown.count(family.think[0]) == 1


@pytest.mark.parametrize("name", CANNOT_TRAIN)
def test_the_published_template_is_refused(name, words, tmp_path):
    template = tmp_path / "published.jinja"
    template.write_text(PUBLISHED[name])
    found = refusals(words(name, "sft", "--chat_template_path", str(template)))
    labels = [line for line in found if line.startswith("refused: labels: record ")]
    assert len(labels) == 1
    assert f"the labels decode to {CANNOT_TRAIN[name]}" in labels[0]
    assert "and one end token of the model's (" in labels[0]


def test_a_prompt_that_is_written_otherwise_before_an_answer(words, tmp_path):
    """TRL keeps the part that both have, so the model would be trained on another prompt than it is asked by."""
    template = tmp_path / "thinks.jinja"
    qwen = PUBLISHED["qwen2_5_vl"].replace("<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n")
    template.write_text(qwen)
    found = refusals(words("qwen2_5_vl", "sft", "--chat_template_path", str(template)))
    assert [line for line in found if line.startswith("refused: prompts: ") and "generation sends differs" in line]


def test_a_prompt_of_grpo_that_evaluation_does_not_send(words):
    few = ["--per_device_train_batch_size", "16", "--steps_per_generation", "1"]
    assert refusals(words("qwen3_vl", "grpo", *few)) == []
    kwargs = ["--chat_template_kwargs", '{"add_vision_id": true}']
    found = refusals(words("qwen3_vl", "grpo", *few, *kwargs))
    assert [line for line in found if line.startswith("refused: prompts: ") and "generation sends differs" in line]


def test_an_end_token_that_the_model_does_not_stop_at(family_checkpoints):
    decode = AutoProcessor.from_pretrained(family_checkpoints / "glm4v").tokenizer.decode
    tokenizer = AutoProcessor.from_pretrained(family_checkpoints / "glm4v").tokenizer
    ends = end_ids(str(family_checkpoints / "glm4v"), None)
    labels = [*tokenizer("a red ball")["input_ids"], tokenizer.convert_tokens_to_ids("<|user|>")]
    row = Taught("qa", "1", [5], labels, "a red ball", [5], [5])
    assert labels_are_the_completion(row, ends, decode) == []
    assert labels_are_the_completion(row, ends - {labels[-1]}, decode)[0].refused
    for wrong in (labels[:-1], [*labels, labels[-1]], labels[1:], [*labels, labels[0]]):
        assert labels_are_the_completion(replace(row, labels=wrong), ends, decode), decode(wrong)


def test_prompts_are_compared_by_token():
    decode = str
    same = Taught("qa", "1", [1, 7, 7, 2], [], "", [1, 7, 7, 2], [1, 7, 2])
    assert prompts_are_the_same(same, 7, decode) == []
    (found,) = prompts_are_the_same(replace(same, sent_to_vllm=[0, 1, 7, 2]), 7, decode)
    assert "the prompt that vLLM gets differs from token 0 of 3" in found.text


def test_the_ends_of_a_checkpoint_without_generation_config(family_checkpoints, tmp_path):
    config = AutoConfig.from_pretrained(family_checkpoints / "qwen3_vl")
    config.save_pretrained(tmp_path)
    assert end_ids(str(tmp_path), config) == {config.text_config.eos_token_id}


def test_the_tiny_recipe_keeps_its_own_template(tiny_base):
    own = AutoProcessor.from_pretrained(tiny_base).chat_template
    assert load_processor(ModelConfig(model_name_or_path=str(tiny_base))).chat_template == own
