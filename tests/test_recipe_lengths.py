"""Rows by length: estimated without a frame, grouped by both samplers, and clips that are too long left out."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from trl import SFTConfig
from trl.trainer.utils import RepeatSampler

from data_prep.records import read_records
from recipe.inputs.dataset import load_mixture
from recipe.training.row_order import LengthRepeatSampler, LengthSampler, PromptsByLength
from recipe.training.trainers import GroundingSFTTrainer
from tests.helpers.tiny_parts import COMMON, parts


def test_lengths_are_known_without_a_frame(tiny_data, tiny_base):
    model, processor, builder, _ = parts(tiny_data, tiny_base, True, None)
    rows = load_mixture([str(tiny_data / "ground.jsonl")], builder, lengths=True)
    args = SFTConfig(output_dir="unused", max_length=None, **COMMON | {"train_sampling_strategy": "group_by_length"})
    trainer = GroundingSFTTrainer(model=model, args=args, train_dataset=rows, processing_class=processor)
    before = builder.clips.decoded  # TRL looks at the first row
    sampler = trainer._get_train_sampler()
    assert isinstance(sampler, LengthSampler)
    assert builder.clips.decoded == before, "no video is decoded for its length"
    lengths = sampler.lengths
    real = [trainer.data_collator([rows[k]])["input_ids"].shape[1] for k in range(len(rows))]
    print(lengths, real)
    assert all(0.5 < estimate / tokens < 2 for estimate, tokens in zip(lengths, real, strict=True))
    longer = builder.length(next(read_records(tiny_data / "ground.jsonl")) | {"seconds": 60, "clip": [0.0, 60.0]})
    assert longer > max(lengths) + 50 * 4, "4 tokens a frame"
    assert set(rows[0]) == set(load_mixture([str(tiny_data / "ground.jsonl")], builder)[0]), "rows are as without"


def test_clips_that_are_too_long_are_left_out_and_counted(tiny_data, tiny_base, caplog):
    *_, builder, _ = parts(tiny_data, tiny_base, True, None)
    path = str(tiny_data / "ground.jsonl")
    seconds = [record["seconds"] for record in read_records(path)]
    assert set(seconds) == {3, 4}
    with caplog.at_level(logging.WARNING):
        rows = load_mixture([path], builder, max_seconds=3)
    assert len(rows) == seconds.count(3)
    assert f"{seconds.count(4)} of {len(seconds)} clips left out, longer than 3 s" in caplog.text
    with pytest.raises(FileNotFoundError, match="clips are longer than max_seconds 2: raise it"):
        load_mixture([path], builder, max_seconds=2)


LENGTHS = np.random.default_rng(0).lognormal(8.5, 0.6, 2000).astype(int).tolist()  # from some 1,000 to 30,000 tokens
PER_ROLLOUT, REPEATS, COPIES = 4, 3, 2


def rollouts(sampler):
    """The prompts of each rollout: the sampler's order without its repetitions."""
    order = list(sampler)
    assert len(order) == len(sampler)
    size = PER_ROLLOUT * REPEATS * COPIES
    chunks = [order[begin : begin + size] for begin in range(0, len(order), size)]
    for chunk in chunks:
        assert chunk == chunk[: PER_ROLLOUT * COPIES] * REPEATS
        assert chunk[::COPIES] == chunk[1::COPIES], "a prompt's copies are neighbours"
    return [chunk[: PER_ROLLOUT * COPIES : COPIES] for chunk in chunks]


def padded(groups):
    """Tokens of the padded prompts over their own."""
    long = sum(max(LENGTHS[index] for index in group) * len(group) for group in groups)
    return long / sum(LENGTHS[index] for group in groups for index in group)


def test_prompts_of_one_length_share_a_rollout():
    options = {"data_source": LENGTHS, "mini_repeat_count": COPIES, "batch_size": PER_ROLLOUT, "repeat_count": REPEATS}
    mixed, grouped = RepeatSampler(**options, seed=1), LengthRepeatSampler(LENGTHS, **options, seed=1)
    before, after = rollouts(mixed), rollouts(grouped)
    print(f"padding: x{padded(before):.2f} at random, x{padded(after):.2f} by length")
    assert padded(before) > 1.5
    assert padded(after) < 1.05
    assert sorted(index for group in after for index in group) == list(range(len(LENGTHS)))
    firsts = torch.tensor([LENGTHS[group[0]] for group in after], dtype=torch.float)
    steps = torch.arange(len(after), dtype=torch.float)
    assert abs(torch.corrcoef(torch.stack([firsts, steps]))[0, 1]) < 0.1, "no course from long to short"
    assert rollouts(LengthRepeatSampler(LENGTHS, **options, seed=1)) == after, "the same order when a run goes on"


def test_steps_of_cpt_and_sft_hold_rows_of_one_length_in_an_order_of_the_epoch():
    sampler = LengthSampler(LENGTHS, 8, seed=3)
    first = list(sampler)
    assert sorted(first) == list(range(len(LENGTHS))) == list(range(len(sampler)))
    assert padded([first[begin : begin + 8] for begin in range(0, len(first), 8)]) < 1.1
    assert list(LengthSampler(LENGTHS, 8, seed=3)) == first, "the same in every process and when a run goes on"
    sampler.set_epoch(1)
    assert list(sampler) != first


class Upstream:
    """What GRPOTrainer's own method returns."""

    def _get_train_sampler(self, dataset=None):
        return RepeatSampler(self.train_dataset["length"], COPIES, PER_ROLLOUT, REPEATS, seed=7)


class Trainer(PromptsByLength, Upstream):
    shuffle_dataset, train_dataset = True, {"length": LENGTHS}


def test_grpo_groups_where_it_is_asked_to():
    trainer = Trainer()
    trainer.args = SimpleNamespace(train_sampling_strategy="random", length_column_name="length")
    assert type(trainer._get_train_sampler()) is RepeatSampler
    trainer.args.train_sampling_strategy = "group_by_length"
    trainer.train_dataset = Rows({"length": LENGTHS})
    sampler = trainer._get_train_sampler()
    assert (type(sampler), sampler.seed, sampler.lengths) == (LengthRepeatSampler, 7, LENGTHS)
    assert padded(rollouts(sampler)) < 1.05


class Rows(dict):
    """Columns by name, and the number of rows."""

    def with_format(self, kind):
        assert kind is None
        return self

    def __len__(self):
        return len(self["length"])
