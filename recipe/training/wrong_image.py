"""Does the model look? Loss on the answer with the right frames against the loss with another clip's frames.

A small model easily learns the prior of the answers and ignores the pictures; its loss still falls. The ratio of the
two losses tells: 1.0 is blind, the recipe asks for at least 1.3.
"""

from __future__ import annotations

from typing import Any

import torch

from recipe.inputs.dataset import RowBuilder, load_mixture
from recipe.inputs.media import VALIDATED


def wrong_image_loss_ratio(
    trainer: Any,
    tracks: list[str],
    builder: RowBuilder,
    *,
    rows: int = VALIDATED,
    max_seconds: int | None = None,
) -> float:
    """Return the loss with another row's frames over the loss with the row's own, on the same answer tokens.

    Args:
        trainer: an SFTTrainer; its collator and its own loss are used, a row at a time: what training had memory for.
        tracks: records that the model was not trained on. Sentences without a target are passed over: their answer is
            right for most other clips too, so it tells nothing of whether the model looks.
        rows: how many of them that have a usable video, all of one length so that frames can be exchanged.
        max_seconds: records with longer clips are left out.
    """
    dataset = load_mixture(tracks, builder, limit=rows, max_seconds=max_seconds, targets_only=True)
    examples = [dataset[index] for index in range(len(dataset))]
    lengths = [len(example["images"]) for example in examples]
    common = max(set(lengths), key=lengths.count)
    examples = [example for example in examples if len(example["images"]) == common]
    half = len(examples) // 2  # neighbours in the file often show the same clip
    others = examples[half:] + examples[:half]
    shifted = [dict(a) | {"images": b["images"]} for a, b in zip(examples, others, strict=True)]
    losses = [_loss(trainer, group) for group in (examples, shifted)]
    return losses[1] / losses[0]


@torch.no_grad()
def _loss(trainer: Any, examples: list[dict[str, Any]]) -> float:
    """Return the mean cross-entropy of the labelled tokens, nats."""
    model = trainer.model
    was_training = model.training
    model.eval()
    total, tokens = 0.0, 0
    for example in examples:
        inputs = trainer.data_collator([dict(example)])
        inputs = {name: value.to(model.device) for name, value in inputs.items()}
        labelled = int((inputs["labels"][:, 1:] != -100).sum())
        with trainer.compute_loss_context_manager():
            total += float(trainer.compute_loss(model, inputs)) * labelled  # a mean over the row's tokens
        tokens += labelled
    model.train(was_training)
    return total / max(tokens, 1)
