"""GRPO's passes over a rollout with a vision tower that does not learn: its features computed once, or in every pass.

    python -m bench.frozen_tower

Random models of the tiny recipe's architecture in float32: the old log-probabilities and the forward and backward of
two optimiser steps on a rollout, where each prompt is computed once (`shared_prefix`) and where rows are TRL's. The
features' own computation is counted in. FLOPs, memory and seconds are measured as in `bench.shared_prefix`. The second
size has larger frames and a deeper tower, as large models have: there the tower is a larger share.
"""

from __future__ import annotations

import statistics
from tempfile import TemporaryDirectory
from typing import Any

import recipe  # noqa: F401  (before transformers: it lets torchvision be imported)

# isort: split
import torch

from bench.shared_prefix import Shape, built, flops, micro_batch, peak_bytes, seconds
from bench.table import Pair, Report, parser_of
from recipe.inputs.loading import freeze_vision
from recipe.tiny import TinyArguments
from recipe.training.shared_rows import SharedRows

ROUNDS, STEPS = 3, 2
SIZES = {
    "tiny recipe": (TinyArguments(), Shape(12, 4, 2, 8)),
    "frames of 96, tower of 6 layers": (TinyArguments(frame_side=96, vision_depth=6), Shape(12, 4, 2, 8)),
}


def pass_over(trainer: Any, inputs: dict[str, Any], kept: bool) -> None:
    """Run the passes over a rollout."""
    trainer.frozen_features = kept
    pixels, each = inputs["pixel_values"], inputs["image_grid_thw"].prod(-1).view(len(inputs["prompt_ids"]), -1).sum(1)
    first: dict[bytes, torch.Tensor] = {}
    rows = []
    for row, part in enumerate(pixels.split(each.tolist())):
        grids = inputs["image_grid_thw"][row * inputs["num_images"][0] : (row + 1) * inputs["num_images"][0]]
        key = inputs["prompt_ids"][row].numpy().tobytes()
        if key not in first:
            first[key] = trainer._to_keep({"pixel_values": part, "image_grid_thw": grids})
        rows.append(first[key])
    inputs = inputs | {"pixel_values": SharedRows(rows)}
    fields = {name: inputs[name] for name in ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")}
    ids, mask = (torch.cat([inputs[f"prompt_{k}"], inputs[f"completion_{k}"]], dim=1) for k in ("ids", "mask"))
    with torch.no_grad():
        old, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, inputs["completion_ids"].shape[1], **fields
        )
    for _ in range(STEPS):
        trainer._compute_loss(trainer.model, inputs | {"old_per_token_logps": old}).backward()
        trainer.model.zero_grad()


def measured(trainer: Any, inputs: dict[str, Any], rounds: int) -> dict[str, Pair]:
    """Return operations, bytes at the peak and seconds of the passes, and the patches that the tower computed."""
    patches: list[int] = []
    tower = trainer.model.base_model.visual
    hook = tower.patch_embed.register_forward_hook(lambda module, args, output: patches.append(len(args[0])))
    counts = []
    for kept in (True, False):
        patches.clear()
        pass_over(trainer, inputs, kept)
        counts.append(float(sum(patches)))
    hook.remove()
    found = {"patches": Pair(*counts)}
    for name, measure in (("flops", flops), ("memory", peak_bytes), ("seconds", seconds)):
        taken = []
        for _ in range(rounds if measure is seconds else 1):
            taken.append([measure(lambda kept=kept: pass_over(trainer, inputs, kept)) for kept in (True, False)])
        ours = statistics.median(turn[0] for turn in taken)
        found[name] = Pair(ours, ours * statistics.median(turn[1] / turn[0] for turn in taken))
    return found


def main() -> None:
    """Measure both sizes with and without shared prompts."""
    options = parser_of(__doc__).parse_args()
    report = Report("frozen_tower", options.rows)
    torch.set_num_threads(1)
    for size, (args, shape) in list(SIZES.items())[: 1 if options.quick else None]:
        with TemporaryDirectory() as folder:
            trainer = built(folder, args)
        freeze_vision(trainer.model.train())
        trainer.current_gradient_accumulation_steps = 1
        inputs = micro_batch(trainer, shape, args.frame_side)
        for shared in (True, False):
            trainer.shared_prefix = shared
            found = measured(trainer, inputs, 1 if options.quick else ROUNDS)
            what = f"{size}, {shape}, {'each prompt computed once' if shared else 'rows as TRL makes them'}"
            spent, patches, peer = found["seconds"], found["patches"], "features in every pass"
            costs = {"flops": found["flops"], "memory": found["memory"]}
            report.add(f"old log-probabilities and {STEPS} steps, {what}", spent.ours, spent.peer, "s", peer, **costs)
            report.add(f"patches through the vision tower in them, {what}", patches.ours, patches.peer, "", peer)


if __name__ == "__main__":
    main()
