"""Attention of one new token reads the cache where it lies and gives what transformers' own gives."""

from types import SimpleNamespace

import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from recipe.inference.decode_attention import grouped, without_copies
from recipe.inference.generation import generate
from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import load_mixture
from recipe.inputs.loading import load_answering, load_processor, row_builder
from recipe.training.prefix_attention import install

ROWS, HEADS, KEY_HEADS, TOKENS, SIZE = 5, 6, 2, 11, 8


@pytest.fixture
def attended():
    draw = torch.Generator().manual_seed(0)
    query = torch.randn(ROWS, HEADS, 1, SIZE, generator=draw)
    key, value = (torch.randn(ROWS, KEY_HEADS, TOKENS, SIZE, generator=draw) for _ in range(2))
    return query, key, value


def masks():
    seen = torch.ones(ROWS, 1, 1, TOKENS, dtype=torch.bool)
    seen[1, ..., :4] = False
    added = torch.zeros(ROWS, 1, 1, TOKENS).masked_fill(~seen, torch.finfo(torch.float32).min)
    return {"none": None, "boolean": seen, "added": added}


@pytest.mark.parametrize("kind", ["none", "boolean", "added"])
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_it_is_transformers_own_attention(attended, kind, scaling):
    mask = masks()[kind]
    module = SimpleNamespace(num_key_value_groups=HEADS // KEY_HEADS, is_causal=True)
    arguments = (module, *attended, mask)
    expected, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](*arguments, scaling=scaling)
    with without_copies():
        found, weights = ALL_ATTENTION_FUNCTIONS["sdpa"](*arguments, scaling=scaling, dropout=0.0, is_causal=None)
    assert weights is None
    assert found.shape == (ROWS, 1, HEADS, SIZE)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    if kind != "none":  # the mask counts
        assert not torch.allclose(grouped(*attended, None, scaling)[1], found[1], atol=1e-3)


def test_longer_queries_are_left_to_transformers(attended):
    query, key, value = attended
    calls = []
    upstream = ALL_ATTENTION_FUNCTIONS["sdpa"]
    ALL_ATTENTION_FUNCTIONS.register("sdpa", lambda *args, **kwargs: calls.append(args[1].shape) or (None, None))
    try:
        with without_copies():
            attend = ALL_ATTENTION_FUNCTIONS["sdpa"]
            attend(None, query.expand(ROWS, HEADS, 2, SIZE), key, value, None)
            attend(None, query, key, value, None)
            attend(None, query, key, value, None, dropout=0.1)
    finally:
        ALL_ATTENTION_FUNCTIONS.register("sdpa", upstream)
    assert calls == [(ROWS, HEADS, 2, SIZE), (ROWS, HEADS, 1, SIZE)]


def test_shared_prefixes_are_installed_beside_it(attended):
    before = ALL_ATTENTION_FUNCTIONS["sdpa"]
    try:
        with without_copies():
            pass
        install("sdpa")
        assert ALL_ATTENTION_FUNCTIONS["sdpa"].takes_layout
    finally:
        ALL_ATTENTION_FUNCTIONS.register("sdpa", before)


def test_it_ends_with_the_body():
    before = ALL_ATTENTION_FUNCTIONS["sdpa"]
    with pytest.raises(KeyError), without_copies():
        assert ALL_ATTENTION_FUNCTIONS["sdpa"] is not before
        raise KeyError
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is before


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_answers_of_a_padded_batch_are_those_of_transformers_own(temperature, tiny_base, tiny_data, monkeypatch):
    from trl import ModelConfig

    script = StageArguments(video_root=str(tiny_data / "videos"), prompts="tiny", max_frame_pixels=2304)
    model_args = ModelConfig(model_name_or_path=str(tiny_base), dtype="float32")
    model, processor = load_answering(model_args, script), load_processor(model_args)
    dataset = load_mixture([str(tiny_data / "ground.jsonl")], row_builder(script, model, processor, completions=False))
    rows = [dataset[index] for index in range(5)]
    seeds = list(range(5)) if temperature else None
    asked = {"temperature": temperature, "max_new_tokens": 20, "seeds": seeds}
    found = generate(model, processor, rows, **asked)
    monkeypatch.setattr("recipe.inference.generation.without_copies", torch.no_grad)
    assert generate(model, processor, rows, **asked) == found
    assert len(set(found)) > 1
