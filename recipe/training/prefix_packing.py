"""Rows of GRPO as packs: rows with the same prompt and pictures together, the prompt once, their answers after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from recipe.training.prefix_attention import Layout

IGNORED = -100  # the label of a token that is not scored
PICTURE, VIDEO = 1, 2  # what tokens stand for in `mm_token_type_ids`, where text is 0


@dataclass(frozen=True)
class Row:
    """A prompt and an answer as TRL holds them, without padding.

    Attributes:
        prompt: (prompt tokens,), ids, at least one.
        types: (prompt tokens,), `mm_token_type_ids` of the prompt.
        answer: (answer tokens,), ids; none where the answer is masked.
        columns: (answer tokens,), the answer's tokens' columns in TRL's table of completions.
        pixels: the pictures' patches, (patches, features); None for a prompt of text.
        grids: (pictures, 3), their grids.
    """

    prompt: torch.Tensor
    types: torch.Tensor
    answer: torch.Tensor
    columns: torch.Tensor
    pixels: torch.Tensor | None = None
    grids: torch.Tensor | None = None

    def shares_prompt(self, other: Row) -> bool:
        """Return whether another row has the same prompt and the same pictures."""
        if not torch.equal(self.prompt, other.prompt):
            return False
        if self.pixels is None or other.pixels is None or self.grids is None or other.grids is None:
            return self.pixels is other.pixels
        if not torch.equal(self.grids, other.grids):
            return False
        same = self.pixels.data_ptr() == other.pixels.data_ptr() and self.pixels.shape == other.pixels.shape
        return same or torch.equal(self.pixels, other.pixels)


def group(rows: Sequence[Row]) -> list[list[int]]:
    """Return the indices of rows that share prompt and pictures, in the order in which they first appear."""
    groups: list[list[int]] = []
    for index, row in enumerate(rows):
        for members in groups:
            if rows[members[0]].shares_prompt(row):
                members.append(index)
                break
        else:
            groups.append([index])
    return groups


def tokens_of(packs: Sequence[Sequence[int]], rows: Sequence[Row]) -> int:
    """Return how many tokens a forward of these packs has: of each the prompt once and its answers."""
    return sum(
        len(rows[pack[0]].prompt) - 1 + sum(max(len(rows[index].answer), 1) for index in pack) for pack in packs
    )


def divide(groups: Sequence[Sequence[int]], rows: Sequence[Row], budget: int) -> list[list[list[int]]]:
    """Return groups divided into forwards of at most `budget` tokens; a forward holds one row at least.

    A group too large for what is left of a forward is continued in the next, where its prompt stands again.

    Returns:
        Forwards, each a list of packs, each a list of indices of rows.
    """
    forwards: list[list[list[int]]] = [[]]
    for members in groups:
        pack: list[int] = []
        for index in members:
            if forwards[-1] and tokens_of([*forwards[-1][: -1 if pack else None], [*pack, index]], rows) > budget:
                forwards.append([])
                pack = []
            if pack:
                pack.append(index)
            else:
                pack = [index]
                forwards[-1].append(pack)
    return forwards


def divide_further(forwards: list[list[list[int]]], count: int) -> list[list[list[int]]]:
    """Return `count` forwards of the same rows, the ones with the most rows cut in two; not more than there are rows.

    Processes that hold a part of the weights each run the same number of forwards, or some would wait for ever.
    """
    forwards = list(forwards)
    while len(forwards) < count:
        largest = max(range(len(forwards)), key=lambda place: sum(map(len, forwards[place])))
        flat = [(number, index) for number, pack in enumerate(forwards[largest]) for index in pack]
        if len(flat) < 2:
            break
        halves = flat[: len(flat) // 2], flat[len(flat) // 2 :]
        forwards[largest : largest + 1] = [
            [[index for at, index in half if at == number] for number in dict.fromkeys(at for at, _ in half)]
            for half in halves
        ]
    return forwards


@dataclass(frozen=True)
class Packed:
    """One row of tokens that holds several packs, and where its answers' tokens belong.

    Attributes:
        inputs: of the model's forward.
        layout: for the attention.
        scored: (scored,), positions of the row whose next token is scored.
        labels: (1, scored), those next tokens; IGNORED for an answer without tokens.
        rows, columns: (scored,), the place of each in TRL's table of completions.
    """

    inputs: dict[str, torch.Tensor]
    layout: Layout
    scored: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor


def pack_rows(packs: Sequence[Sequence[int]], rows: Sequence[Row], rope_index: Callable[..., Any]) -> Packed:
    """Return packs one after the other in one row of tokens.

    Of a pack the prompt without its last token comes first. Each answer begins with that last token, whose output
    scores the answer's first token, and ends before its own last token, whose output scores nothing. Positions go on
    from the prompt's end in every answer.

    Args:
        packs: indices of rows that share a prompt.
        rows: all rows.
        rope_index: the model's own `get_rope_index`, for a prompt's positions in time, height and width.
    """
    ids, types, positions, scored, labels, places, columns = ([] for _ in range(7))
    pictures: list[tuple[torch.Tensor, torch.Tensor]] = []
    begin = 0
    for pack in packs:
        first = rows[pack[0]]
        prompt = prompt_positions(first, rope_index)
        after = prompt.max() + 1
        ids.append(first.prompt[:-1])
        types.append(first.types[:-1])
        positions.append(prompt[:, :-1])
        begin += len(first.prompt) - 1
        for index in pack:
            row = rows[index]
            length = max(len(row.answer), 1)
            steps = torch.arange(length, device=row.prompt.device)
            ids.append(torch.cat([first.prompt[-1:], row.answer[:-1]]))
            types.append(first.types.new_zeros(length))
            positions.append(torch.cat([prompt[:, -1:], (after + steps[:-1]).expand(3, -1)], dim=1))
            scored.append(begin + steps)
            labels.append(row.answer if len(row.answer) else row.prompt.new_full((1,), IGNORED))
            columns.append(row.columns if len(row.answer) else row.prompt.new_zeros(1))
            places.append(torch.full_like(columns[-1], index))
            begin += length
        if first.pixels is not None and first.grids is not None:
            pictures.append((first.pixels, first.grids))
    inputs = {
        "input_ids": torch.cat(ids)[None],
        "mm_token_type_ids": torch.cat(types)[None],
        "position_ids": torch.cat(positions, dim=1)[:, None],
    }
    if pictures:
        # One prompt's pixels are not copied: the samples of a group share them (recipe/training/pixels.py).
        pixels, grids = (parts[0] if len(parts) == 1 else torch.cat(parts) for parts in zip(*pictures, strict=True))
        inputs |= {"pixel_values": pixels, "image_grid_thw": grids}
    layout = Layout(
        [len(rows[pack[0]].prompt) - 1 for pack in packs],
        [[max(len(rows[index].answer), 1) for index in pack] for pack in packs],
    )
    return Packed(inputs, layout, torch.cat(scored), torch.cat(labels)[None], torch.cat(places), torch.cat(columns))


def prompt_positions(row: Row, rope_index: Callable[..., Any]) -> torch.Tensor:
    """Return the positions of a prompt's tokens in time, height and width: (3, prompt tokens)."""
    kind = "video_grid_thw" if bool((row.types == VIDEO).any()) else "image_grid_thw"
    positions, _ = rope_index(row.prompt[None], mm_token_type_ids=row.types[None], **{kind: row.grids})
    result: torch.Tensor = positions[:, 0]
    return result
