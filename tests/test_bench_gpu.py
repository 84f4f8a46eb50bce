"""The GPU bench runs its whole path with a tiny model; its 9B-shaped model has the published size."""

import re

import pytest
import torch

from bench import gpu
from bench.seconds_cost import texts
from recipe.checks.facts import skeleton
from recipe.tiny import build_tokenizer


def test_without_a_gpu_it_is_left_out_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main([])
    printed = capsys.readouterr().out
    assert printed.startswith("not run: no GPU here")
    assert printed.count("\n") == 1


def test_its_model_is_nine_billion_weights():
    tokenizer = build_tokenizer(iter(texts() * 3))
    config = gpu.published_config(tokenizer)
    layers, parameters, vision = skeleton(config)
    assert 9e9 < parameters < 11e9
    assert 0 < vision < 3e9
    assert config.text_config.vocab_size > len(tokenizer)
    assert config.image_token_id == tokenizer.convert_tokens_to_ids("<|image|>")
    assert sum("gate_up_proj" in name and "language_model" in name for name in layers) == 40


@pytest.mark.parametrize(("rate", "states"), [(1, 3), (4, 12)])
def test_frame_level_input_has_every_frame_in_prompt_and_answer(rate, states):
    row = gpu.rows(3, rate, 48, 2)[0]
    assert len(row["images"]) == states
    assert sum(part["type"] == "image" for part in row["prompt"][0]["content"]) == states
    assert row["completion"][0]["content"].count("bbox_2d") == states
    assert (len(row["track"]), row["seconds"]) == (3, 3)


def test_what_does_not_fit_is_none():
    def too_much(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert gpu.measured(too_much) is None
    assert gpu.measured(lambda: {"seconds": 1.0}) == {"seconds": 1.0}


@pytest.mark.slow
def test_the_whole_path(capsys):
    gpu.main(["--tiny"])
    printed = capsys.readouterr().out
    sft = re.findall(r"^\| (\d+) s \| (\w+) \| (\d+) \| ([\d.]+) \| (\d+) \|  \| ([\d.]+) \|$", printed, re.MULTILINE)
    assert [(row[0], row[1]) for row in sft] == [("2", "second"), ("2", "frame"), ("4", "second"), ("4", "frame")]
    assert int(sft[1][2]) > int(sft[0][2]), "frame by frame there are more tokens"
    grpo = re.findall(r"^\| (\d+) s \|" + r" ([\d.]+) \|" * 6 + "$", printed, re.MULTILINE)
    assert [row[0] for row in grpo] == ["2", "4"]
    for _, rollout, score, reward, update, total, memory in grpo:
        assert float(rollout) > 0
        assert float(score) > 0
        assert float(update) > 0
        parts = sum(map(float, (rollout, score, reward, update)))
        assert parts == pytest.approx(float(total), abs=0.03)
        assert float(memory) > 0
