"""Answers from the model: greedy ones do not depend on their neighbours, sampled ones on the seed alone."""

import pytest
import torch
from trl import ModelConfig

from recipe.inference.generation import batches, generate
from recipe.inputs.arguments import StageArguments
from recipe.inputs.dataset import load_mixture
from recipe.inputs.loading import load_model, load_processor, row_builder


@pytest.fixture(scope="module")
def parts(tiny_data, tiny_base):
    script = StageArguments(video_root=str(tiny_data / "videos"), prompts="tiny", max_frame_pixels=2304)
    model_args = ModelConfig(model_name_or_path=str(tiny_base), dtype="float32")
    model, processor = load_model(model_args, script).eval(), load_processor(model_args)
    builder = row_builder(script, model, processor, completions=False)
    rows = load_mixture([str(tiny_data / "test.jsonl"), str(tiny_data / "ground.jsonl")], builder)
    return model, processor, [rows[index] for index in range(6)]


def test_greedy_answers_do_not_depend_on_the_batch(parts):
    model, processor, rows = parts
    assert len({len(row["images"]) for row in rows}) > 1, "clips of several lengths, so that padding matters"
    together = generate(model, processor, rows, max_new_tokens=12)
    alone = [generate(model, processor, [row], max_new_tokens=12)[0] for row in rows]
    assert together == alone
    assert generate(model, processor, rows[::-1], max_new_tokens=12) == together[::-1]


def test_sampled_answers_follow_the_seed(parts):
    model, processor, rows = parts

    def sampled(seed):
        torch.manual_seed(seed)
        return generate(model, processor, rows, temperature=1.0, max_new_tokens=12)

    assert sampled(1) == sampled(1) != sampled(2)


def test_tokens_that_stand_for_pictures_are_never_answered(parts, monkeypatch):
    """Even where the model wants nothing else."""
    model, processor, rows = parts
    pictures = [model.config.image_token_id, model.config.video_token_id]
    wants = model.lm_head.register_forward_hook(
        lambda module, inputs, logits: logits.index_fill(-1, torch.tensor(pictures), 1e4)
    )
    made = []
    upstream = model.generate

    def keep(**arguments):
        output = upstream(**arguments)
        made.append(output[:, arguments["input_ids"].shape[1] :])
        return output

    monkeypatch.setattr(model, "generate", keep)
    try:
        generate(model, processor, rows[:2], max_new_tokens=4)
        generate(model, processor, rows[:2], temperature=1.0, max_new_tokens=4)
    finally:
        wants.remove()
    for output in made:
        assert not torch.isin(output, torch.tensor(pictures)).any()


def test_special_tokens_are_not_part_of_an_answer(parts):
    """A finished answer ends with one, and the shorter answers of a batch are filled up with them."""
    model, processor, rows = parts
    end = processor.tokenizer.eos_token_id
    assert end in processor.tokenizer.all_special_ids
    letter = processor.tokenizer("a", add_special_tokens=False)["input_ids"][0]
    steps = []

    def wants(module, inputs, logits):
        """The letter for all, then the end for the first row, then for the second too."""
        steps.append(None)
        wanted = [end if len(steps) > 1 + row else letter for row in range(len(logits))]
        return logits.scatter(-1, torch.tensor(wanted)[:, None, None].expand(-1, logits.shape[1], 1), 1e4)

    hook = model.lm_head.register_forward_hook(wants)
    try:
        answers = generate(model, processor, rows[:2], max_new_tokens=6)
    finally:
        hook.remove()
    assert answers == ["a", "aa"]


def test_batches():
    assert list(batches([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(batches([], 2)) == []
