"""The wrong-image check: 1 for a model that does not look, more for one that does."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from trl import SFTConfig

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

    def forward(self, pictures, names, input_ids):
        self.modes.append(self.training)
        logits = torch.zeros(*input_ids.shape, 4)
        for row in range(len(input_ids)):
            sure = self.right if pictures[row] == names[row] else self.wrong
            # Position t predicts token t + 1.
            for place in range(input_ids.shape[1] - 1):
                logits[row, place, input_ids[row, place + 1]] = sure
        return SimpleNamespace(logits=logits)


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
    trainer = SimpleNamespace(model=model, data_collator=collate)
    return wrong_image_loss_ratio(trainer, [], None, **settings)


def test_a_model_that_looks(monkeypatch):
    model = Reader(right=3.0, wrong=1.0)

    def loss(sure):
        return -torch.log_softmax(torch.tensor([sure, 0.0, 0.0, 0.0]), 0)[0].item()

    found = ratio_of(model, [2] * 6, monkeypatch, batch=4)
    assert found == pytest.approx(loss(1.0) / loss(3.0), rel=1e-5)
    assert model.modes
    assert not any(model.modes), "measured in evaluation mode"
    assert model.training, "and left as it was"


def test_a_blind_model(monkeypatch):
    assert ratio_of(Reader(2.0, 2.0), [2] * 6, monkeypatch) == pytest.approx(1.0)


def test_rows_of_another_length_are_left_out(monkeypatch):
    """Frames can be exchanged between rows of one length alone; the commonest is taken."""
    assert ratio_of(Reader(2.0, 2.0), [2, 3, 2, 5, 2], monkeypatch) == pytest.approx(1.0)


def test_a_real_untrained_model_is_blind(tiny_data, tiny_base, tmp_path):
    model, processor, builder, rows = parts(tiny_data, tiny_base, True, None)
    args = SFTConfig(output_dir=str(tmp_path), max_length=None, **COMMON)
    trainer = GroundingSFTTrainer(model=model, args=args, train_dataset=rows, processing_class=processor)
    found = wrong_image_loss_ratio(trainer, [str(tiny_data / "test.jsonl")], builder)
    assert found == pytest.approx(1.0, abs=0.05)
    assert len(load_mixture([str(tiny_data / "test.jsonl")], builder)) == 5
