"""The prompt of a group computed once: GRPO's log-probabilities from packs of a prompt and its answers.

TRL scores a row for each answer, each with the whole prompt, frames and all: for a minute of video and 8 answers the
same 16,000 tokens 8 times, in each forward and backward. Prefix Grouper (arXiv 2506.05433) computes them once with the
same log-probabilities and gradients.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from trl.extras.profiling import profiling_context
from trl.trainer.utils import split_pixel_values_by_grid, unsplit_pixel_values_by_grid

from recipe.inputs.families import other_attention
from recipe.rollouts.steps import step_size
from recipe.training.prefix_attention import ARGUMENT, IMPLEMENTATIONS, install
from recipe.training.prefix_packing import PICTURE, VIDEO, Row, divide, divide_further, group, pack_rows

logger = logging.getLogger(__name__)

# Fields of TRL's rollout that other kinds of models have; rows with one of them are scored TRL's way.
OTHER_FIELDS = (
    *("pixel_attention_mask", "spatial_shapes", "num_tiles", "image_sizes"),
    *("token_type_ids", "image_position_ids"),
)


class SharedPrefix:
    """Mixin for GRPOTrainer that computes a prompt once for all its answers of a micro-batch.

    Rows of a micro-batch with the same prompt and the same pictures make a pack: the prompt, then each answer after
    the prompt's last token, with positions that go on from the prompt's end; an answer sees the prompt and itself
    (arXiv 2506.05433). All packs of a micro-batch stand in one row of tokens, without padding, up to
    `shared_prefix_tokens` tokens; the vision tower sees each clip once and the LM head the answers only. Which rows an
    optimiser step holds stays TRL's choice.

    Overrides `_get_per_token_logps_and_entropies`, the one place where old, new and reference log-probabilities come
    from, and `_prepare_inputs`, so that rows of a prompt meet in one micro-batch of their step. The forward runs
    through the wrapped model, so DDP, FSDP, ZeRO, PEFT and gradient checkpointing work as without it. Where a model's
    attention does not allow it, TRL's rows are computed, and one line of the log says why. It can go when TRL shares
    prefixes of prompts with pictures.
    """

    shared_prefix: bool = True
    shared_prefix_tokens: int = 65536
    _said: frozenset[str] = frozenset()

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """Return TRL's next micro-batch; within an optimiser step, rows of one prompt come in the same one."""
        trainer: Any = self
        before = trainer._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)  # type: ignore[misc]
        buffer = trainer._buffered_inputs
        if not trainer.model.training or buffer is before or not self.shared_prefix:
            return inputs
        if why_not(trainer.model) is None:
            trainer._buffered_inputs = gathered(buffer, step_size(trainer.args, trainer.loss_type))
        return trainer._buffered_inputs[trainer._step % trainer.args.steps_per_generation]

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **fields: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Return what TRL's method does: log-probabilities and entropies of the answers, (rows, logits_to_keep)."""
        trainer: Any = self
        parent: Any = super()
        reason = None
        # A row alone shares nothing, and its own attention kernel is the faster one.
        share = self.shared_prefix and min(batch_size or len(input_ids), len(input_ids)) > 1
        if share:
            inner = inner_model(trainer.accelerator, model)
            reason = why_not(inner) or rows_do_not_allow(inner, input_ids[:, -logits_to_keep:], fields)
            if compute_aux_loss:
                reason = "the balance of a mixture of experts counts tokens of every row"
            reason = agreed(trainer.accelerator, reason)
            self._say(reason)
        if not share or reason is not None:
            scored: tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None] = (
                parent._get_per_token_logps_and_entropies(
                    *(model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, compute_aux_loss),
                    **fields,
                )
            )
            return scored
        rows = rows_of(inner, input_ids, attention_mask, logits_to_keep, fields)
        with profiling_context(trainer, "_get_per_token_logps_and_entropies"):
            fields_wanted = ("log_probs", "entropy") if compute_entropy else ("log_probs",)
            logps, *entropies = self._score(model, inner, rows, logits_to_keep, batch_size or len(rows), fields_wanted)
        return logps, entropies[0] if compute_entropy else None, None

    def _score(
        self, model: Any, inner: Any, rows: list[Row], width: int, batch_size: int, wanted: tuple[str, ...]
    ) -> list[torch.Tensor]:
        """Return the fields `wanted` of the fused head's output for the rows' answers: (rows, width) each."""
        trainer: Any = self
        backbone = inner.base_model
        install(backbone.language_model.config._attn_implementation)
        pieces, places = [], []
        for begin in range(0, len(rows), batch_size):
            chunk = rows[begin : begin + batch_size]
            forwards = divide(group(chunk), chunk, self.shared_prefix_tokens)
            if trainer.accelerator.num_processes > 1:
                count = torch.tensor([len(forwards)], device=trainer.accelerator.device)
                forwards = divide_further(forwards, int(trainer.accelerator.gather(count).max()))
            for packs in forwards:
                packed = pack_rows(packs, chunk, backbone.get_rope_index)
                with trainer.accelerator.autocast(), only_scored(backbone, packed.scored):
                    outputs = model(
                        **packed.inputs,
                        attention_mask=None,
                        shift_labels=packed.labels,
                        fused_lm_head=True,
                        **{ARGUMENT: packed.layout},
                    )
                packed.layout.check_used(backbone.language_model.config.num_hidden_layers)
                places.append((packed.rows + begin) * width + packed.columns)
                pieces.append([outputs[name][0] for name in wanted])
        place = torch.cat(places)
        return [
            values.new_zeros(len(rows) * width).index_copy(0, place.to(values.device), values).view(len(rows), width)
            for values in map(torch.cat, zip(*pieces, strict=True))
        ]

    def _say(self, reason: str | None) -> None:
        if reason is not None and reason not in self._said:
            self._said |= {reason}
            logger.warning("shared_prefix: %s; each answer is scored in a row with its whole prompt", reason)


def inner_model(accelerator: Any, model: Any) -> Any:
    """Return the transformers model inside DDP's, FSDP's, DeepSpeed's and PEFT's wrappers."""
    model = accelerator.unwrap_model(model)
    return model.get_base_model() if isinstance(model, PeftModel) else model


def why_not(model: Any) -> str | None:
    """Return why a model's prompts cannot be shared, None where they can.

    An answer may see the prompt and itself only: every layer's attention must be a full one, through transformers'
    table of attention functions.
    """
    if isinstance(model, PeftModel):
        model = model.get_base_model()
    backbone = model.base_model
    if not hasattr(backbone, "get_rope_index") or not hasattr(backbone, "language_model"):
        return f"{type(model).__name__} has no positions in time, height and width"
    config = backbone.language_model.config
    others = other_attention(config)
    if others:
        return f"{type(model).__name__} has layers of {' and '.join(others)}, which would mix answers of one row"
    if config._attn_implementation not in IMPLEMENTATIONS:
        return f"attn_implementation {config._attn_implementation} takes no layout (sdpa does)"
    return None


def agreed(accelerator: Any, reason: str | None) -> str | None:
    """Return why prompts are not shared; where any process has a reason, all of them have one.

    Answers differ between processes, and those that share count their forwards together: one that does not would leave
    the others waiting for ever.
    """
    if accelerator.num_processes == 1:
        return reason
    reasons = accelerator.gather(torch.tensor([reason is not None], device=accelerator.device))
    if reason is None and bool(reasons.any()):
        return "rows of another process do not allow it"
    return reason


def rows_do_not_allow(model: Any, answers: torch.Tensor, fields: dict[str, Any]) -> str | None:
    """Return why the rows of a rollout cannot share prompts, None where they can: pictures in answers, other fields.

    Args:
        answers: (rows, tokens), ids of the completions.
        fields: the other arguments of TRL's method.
    """
    others = [name for name in OTHER_FIELDS if fields.get(name) is not None]
    if others:
        return f"rows have {', '.join(others)}"
    if fields.get("pixel_values") is not None and (fields.get("image_grid_thw") is None or not fields["num_images"]):
        return "pictures have no grids"
    types = fields.get("mm_token_type_ids")
    if types is not None and bool((types == PICTURE).any()) and bool((types == VIDEO).any()):
        return "prompts hold pictures and videos"
    for token in (model.config.image_token_id, model.config.video_token_id):
        if bool((answers == token).any()):
            return "answers hold pictures"
    if types is not None and bool(types[:, -answers.shape[1] :].any()):
        return "answers hold pictures"
    return None


def rows_of(
    model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, width: int, fields: dict[str, Any]
) -> list[Row]:
    """Return TRL's padded rows as prompts and answers without padding.

    Args:
        model: the transformers model.
        input_ids, attention_mask: (rows, prompt and completion), the prompt padded on its left.
        width: tokens of a completion.
        fields: the other arguments of TRL's method.
    """
    types = fields.get("mm_token_type_ids")
    if types is None:
        config = model.config
        types = (
            PICTURE * (input_ids == config.image_token_id).int() + VIDEO * (input_ids == config.video_token_id).int()
        )
    pictures: list[tuple[torch.Tensor | None, torch.Tensor | None]] = [(None, None)] * len(input_ids)
    if fields.get("pixel_values") is not None:
        names = ("pixel_values", "image_grid_thw", "num_images")
        split = split_pixel_values_by_grid({name: fields[name] for name in names})
        # A slice of all is the tensor that rows of one prompt share (`SharedRows`), not a copy of it.
        pictures = [(p[:], grids) for p, grids in zip(split["pixel_values"], split["image_grid_thw"], strict=True)]
    rows = []
    for ids, mask, kinds, (pixels, grids) in zip(input_ids, attention_mask.bool(), types, pictures, strict=True):
        prompt, columns = mask[:-width], mask[-width:].nonzero()[:, 0]
        answer = ids[-width:][columns]
        rows.append(Row(ids[:-width][prompt], kinds[:-width][prompt], answer, columns, pixels, grids))
    return rows


@contextmanager
def only_scored(backbone: Any, scored: torch.Tensor) -> Iterator[None]:
    """Give the LM head only the hidden states at the positions `scored` while the body runs a forward.

    TRL's fused head scores every position where Triton is not: image tokens too, which have no label.
    """

    def select(module: Any, args: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[:, scored]
        return output

    hook = backbone.register_forward_hook(select)
    try:
        yield
    finally:
        hook.remove()


def gathered(buffer: list[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """Return a rollout's micro-batches with the rows of each `size` of them in the order of their prompts.

    The step stays the same. TRL's logs of entropy, KL and clipping are means of the micro-batches' own means, so what
    is logged of them moves a little, as it does with another order of the rows.

    Args:
        buffer: TRL's micro-batches, of the same number of rows.
        size: micro-batches of an optimiser step, whose loss does not depend on the order of its rows.
    """
    if size == 1:
        return buffer
    result = []
    for begin in range(0, len(buffer), size):
        parts = [split_pixel_values_by_grid(part) for part in buffer[begin : begin + size]]
        prompts = [(index, row) for index, part in enumerate(parts) for row in range(len(part["prompt_ids"]))]
        first: dict[bytes, int] = {}
        keys = []
        for index, row in prompts:
            ids = parts[index]["prompt_ids"][row].cpu().numpy().tobytes()
            keys.append(first.setdefault(ids, len(first)))
        order = [prompts[place] for place in sorted(range(len(prompts)), key=keys.__getitem__)]
        each = len(prompts) // len(parts)
        for start in range(0, len(order), each):
            result.append(unsplit_pixel_values_by_grid(taken(parts, order[start : start + each])))
    return result


def taken(parts: list[dict[str, Any]], places: list[tuple[int, int]]) -> dict[str, Any]:
    """Return a micro-batch of the rows at `places`, each an index of a part and of a row in it."""
    batch: dict[str, Any] = {}
    for name, value in parts[0].items():
        if value is None or (isinstance(value, torch.Tensor) and value.ndim == 0):
            batch[name] = value
        elif isinstance(value, torch.Tensor):
            batch[name] = torch.stack([parts[part][name][row] for part, row in places])
        else:
            batch[name] = [parts[part][name][row] for part, row in places]
    return batch
