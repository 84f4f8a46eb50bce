"""The wrong-image check: 1 for a model that does not look, more for one that does."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from trl import SFTConfig

from data_prep.records import read_records
from recipe.inputs.dataset import load_mixture
from recipe.training.trainers import GroundingSFTTrainer
from recipe.training.wrong_image import wrong_image_loss_ratio
from tests.helpers.tiny_parts import COMMON, parts


class Reader(nn.Module):
    """Knows the right token with a confidence that depends on whether the pictures are the row's own."""

    def __init__(self, right, wrong):
        super().__init__()
        self.right, self.wrong = right, wrong
        self.device = torch.device("cpu")
        self.modes = []


class Trainer:
    """The parts of an SFTTrainer that the check uses; its loss is the mean over a batch's labelled tokens."""

    def __init__(self, model):
        self.model, self.data_collator, self.batches = model, collate, []

    def compute_loss_context_manager(self):
        return nullcontext()

    def compute_loss(self, model, inputs):
        model.modes.append(model.training)
        self.batches.append(len(inputs["labels"]))
        sure = [
            model.right if own == name else model.wrong
            for own, name in zip(inputs["pictures"], inputs["names"], strict=True)
        ]
        return torch.stack([loss_of(value) for value in sure]).mean()


def loss_of(sure):
    return -torch.log_softmax(torch.tensor([sure, 0.0, 0.0, 0.0]), 0)[0]


def collate(examples):
    ids = torch.tensor([[1, 2, 3]] * len(examples))
    labels = ids.clone()
    labels[:, 0] = -100
    names = torch.tensor([example["name"] for example in examples])
    return {
        "pictures": torch.tensor([example["images"][0] for example in examples]),
        "names": names,
        "input_ids": ids,
        "labels": labels,
    }


def ratio_of(model, lengths, monkeypatch, **settings):
    rows = [{"name": n, "images": [n] * length} for n, length in enumerate(lengths)]
    monkeypatch.setattr("recipe.training.wrong_image.load_mixture", lambda *a, **k: rows)
    trainer = Trainer(model)
    ratio = wrong_image_loss_ratio(trainer, [], None, **settings)
    assert set(trainer.batches) == {1}, "a row at a time: what training had memory for"
    return ratio


def test_a_model_that_looks(monkeypatch):
    model = Reader(right=3.0, wrong=1.0)

    found = ratio_of(model, [2] * 6, monkeypatch)
    assert found == pytest.approx((loss_of(1.0) / loss_of(3.0)).item(), rel=1e-5)
    assert model.modes
    assert not any(model.modes), "measured in evaluation mode"
    assert model.training, "and left as it was"


def test_a_blind_model(monkeypatch):
    assert ratio_of(Reader(2.0, 2.0), [2] * 6, monkeypatch) == pytest.approx(1.0)


def test_rows_of_another_length_are_left_out(monkeypatch):
    """Frames can be exchanged between rows of one length alone; the commonest is taken."""
    assert ratio_of(Reader(2.0, 2.0), [2, 3, 2, 5, 2], monkeypatch) == pytest.approx(1.0)


def pairs(builder, tracks):
    """The rows that the check takes, and the same with each other's pictures."""
    rows = [builder.row(record) for record in read_records(tracks)]
    lengths = [len(row["images"]) for row in rows]
    rows = [row for row in rows if len(row["images"]) == max(set(lengths), key=lengths.count)]
    half = len(rows) // 2
    others = rows[half:] + rows[:half]
    return rows, [row | {"images": other["images"]} for row, other in zip(rows, others, strict=True)]


@torch.no_grad()
def by_hand(trainer, rows):
    """The mean loss over the labelled tokens of all rows, from logits as the model gives them."""
    trainer.model.eval()
    inputs = trainer.data_collator([dict(row) for row in rows])
    labels = inputs.pop("labels")[:, 1:]
    logits = trainer.model(**inputs).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100).item()


def test_a_real_untrained_model_is_blind(tiny_data, tiny_base, tmp_path):
    model, processor, builder, rows = parts(tiny_data, tiny_base, True, None)
    args = SFTConfig(output_dir=str(tmp_path), max_length=None, **COMMON)
    trainer = GroundingSFTTrainer(model=model, args=args, train_dataset=rows, processing_class=processor)
    found = wrong_image_loss_ratio(trainer, [str(tiny_data / "test.jsonl")], builder)
    assert found == pytest.approx(1.0, abs=0.05)
    # The same by hand: rows of one length, their pictures exchanged, from whole logits in one batch.
    ours, theirs = (by_hand(trainer, group) for group in pairs(builder, tiny_data / "test.jsonl"))
    assert found == pytest.approx(theirs / ours, rel=1e-5)
    assert len(load_mixture([str(tiny_data / "test.jsonl")], builder)) == 5
