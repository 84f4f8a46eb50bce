"""The tiny checkpoint is a normal folder of the real architecture that everything else can load."""

import json

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, Glm4vForConditionalGeneration

from data_prep.records import read_records
from recipe.inputs.dataset import completion_text
from recipe.inputs.families import FAMILIES
from recipe.tiny import TinyArguments, main


def test_the_folder_loads_as_the_real_class(tiny_base):
    model = AutoModelForImageTextToText.from_pretrained(tiny_base)
    assert type(model) is Glm4vForConditionalGeneration
    assert type(AutoProcessor.from_pretrained(tiny_base)).__name__ == "Glm4vProcessor"
    text = model.config.text_config
    assert text.attention_bias is True, "vLLM drops the q, k and v biases otherwise"
    assert text.hidden_size // text.num_attention_heads == 32, "a head size that vLLM takes on a CPU"


def test_weights_are_safetensors_alone(tiny_base):
    names = {path.suffix for path in tiny_base.iterdir()}
    assert ".safetensors" in names
    assert not names & {".bin", ".pt", ".pth", ".pkl"}


def test_answers_survive_the_tokenizer(tiny_base, tiny_data):
    tokenizer = AutoProcessor.from_pretrained(tiny_base).tokenizer
    for name in ("general", "ground", "test"):
        for record in read_records(tiny_data / f"{name}.jsonl"):
            text = completion_text(record, FAMILIES["glm4v"], (1000, 1000))
            assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


@pytest.mark.parametrize("text", ['{"0": [{"label": "ünï ☃", "bbox_2d": [1, 2, 3, 4]}]}', "\x00\n\t", "日本語"])
def test_any_text_survives_the_tokenizer(tiny_base, text):
    tokenizer = AutoProcessor.from_pretrained(tiny_base).tokenizer
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_tags_are_one_token_each_and_stay_when_special_tokens_are_skipped(tiny_base):
    tokenizer = AutoProcessor.from_pretrained(tiny_base).tokenizer
    ids = tokenizer("<think></think><answer></answer>")["input_ids"]
    assert len(ids) == 4
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think></think><answer></answer>"


def test_the_same_seed_gives_the_same_weights_and_it_is_made_once(tiny_data, tmp_path, capsys):
    def build(folder, seed):
        main(TinyArguments(tracks=[str(tiny_data / "ground.jsonl")], out=str(tmp_path / folder), seed=seed))
        return AutoModelForImageTextToText.from_pretrained(tmp_path / folder).state_dict()

    one, same, other = build("a", 0), build("b", 0), build("c", 1)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    before = (tmp_path / "a" / "model.safetensors").stat().st_mtime_ns
    build("a", 0)
    assert (tmp_path / "a" / "model.safetensors").stat().st_mtime_ns == before
    assert "up to date" in capsys.readouterr().err
    assert json.loads((tmp_path / "a" / "stamp.json").read_text())["complete"] is True
