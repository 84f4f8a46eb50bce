"""Decoding is stated in full: a checkpoint's own settings change no answer, and a server is told all of them."""

from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig
from trl import ModelConfig

from recipe.inference.backends import Decoding, Server, openai_server
from recipe.inference.decoding import sampling_of, sampling_of_request, sampling_of_transformers
from recipe.inference.generation import generate
from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import load_mixture
from recipe.inputs.loading import load_model, load_processor, row_builder
from tests.helpers.served_model import serving

STATED = {"temperature": 0.7, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
# As published checkpoints carry them, and worse.
OWN = [
    {"repetition_penalty": 1.05, "top_k": 1},
    {"do_sample": True, "temperature": 0.01, "top_p": 0.1, "min_p": 0.9, "typical_p": 0.2, "epsilon_cutoff": 0.1},
    {"no_repeat_ngram_size": 2, "num_beams": 2, "min_new_tokens": 9, "forced_eos_token_id": 0},
]


@pytest.fixture(scope="module")
def parts(tiny_data, tiny_base):
    script = StageArguments(video_root=str(tiny_data / "videos"), prompts="tiny", max_frame_pixels=2304)
    model_args = ModelConfig(model_name_or_path=str(tiny_base), dtype="float32")
    model, processor = load_model(model_args, script).eval(), load_processor(model_args)
    builder = row_builder(script, model, processor, completions=False)
    rows = load_mixture([str(tiny_data / "test.jsonl")], builder)
    return model, processor, [rows[index] for index in range(3)]


def answers(parts, temperature):
    model, processor, rows = parts
    torch.manual_seed(3)
    return generate(model, processor, rows, temperature=temperature, max_new_tokens=12)


@pytest.mark.parametrize("own", OWN)
def test_a_checkpoints_own_settings_change_no_answer(own, parts, monkeypatch):
    model = parts[0]
    greedy, sampled = answers(parts, 0.0), answers(parts, 1.0)
    assert greedy != sampled
    plain = model.generation_config
    carried = GenerationConfig(**{"eos_token_id": plain.eos_token_id, "pad_token_id": plain.pad_token_id} | own)
    monkeypatch.setattr(model, "generation_config", carried)
    assert answers(parts, 0.0) == greedy
    assert answers(parts, 1.0) == sampled


def test_every_setting_is_one_of_transformers():
    known = GenerationConfig().to_dict()
    stated = sampling_of_transformers(0.7)
    assert set(stated) <= set(known)
    assert {name: stated[name] for name in STATED if name != "min_p"} == {
        name: value for name, value in STATED.items() if name != "min_p"
    }
    assert stated["min_p"] is None, "off"
    assert stated["do_sample"] is True
    assert sampling_of_transformers(0.0)["do_sample"] is False


def test_the_settings_of_vllm_and_of_a_request_are_the_same():
    assert sampling_of(0.7) == STATED
    request = sampling_of_request(0.7, openai_only=False)
    assert request.pop("extra_body") | request == STATED
    assert sampling_of_request(0.7, openai_only=True) == {"temperature": 0.7, "top_p": 1.0}


@pytest.mark.parametrize(("openai_only", "guided"), [(False, False), (False, True), (True, False)])
def test_a_served_model_is_told_every_setting(openai_only, guided, parts, tiny_data):
    rows = parts[2][:1]
    script = StageArguments(video_root=str(tiny_data / "videos"), prompts="tiny", max_frame_pixels=2304)
    with serving() as served:
        server = Server(served.url, "key", openai_only=openai_only)
        _, answer = openai_server(script, "m", Decoding(0.7, 32, guided), server)
        assert len(answer(rows)) == 1
        (body,) = served.requests
    extended = {"top_k", "min_p", "repetition_penalty"}
    expected = {name: value for name, value in STATED.items() if not openai_only or name not in extended}
    assert {name: value for name, value in body.items() if name in STATED} == expected
    assert ("structured_outputs" in body) == guided
    assert body["max_tokens"] == 32


def test_no_other_file_states_a_samplers_settings():
    """One place: `repetition_penalty` of an answer is written in decoding.py and nowhere else that answers."""
    holders = [path.name for path in sorted(Path("recipe/inference").glob("*.py")) if '"top_k"' in path.read_text()]
    assert holders == ["decoding.py"]
