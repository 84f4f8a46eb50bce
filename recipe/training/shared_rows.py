"""Tensors that lie one after the other and are read as one, without being copied into one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch


class SharedRows:
    """Tensors that are concatenated along dimension 0 only where rows are taken out; the same one may stand often.

    It stands for `pixel_values` in a rollout of TRL, where all samples of a group have the pixels of one prompt. It
    has what TRL asks of that tensor: its size, slices of rows, `torch.split` and `torch.cat`. The last two give such
    objects again; anything else that PyTorch is asked for raises a TypeError.

    Args:
        parts: tensors that differ in dimension 0 only, at least one.

    >>> a, b = torch.tensor([[1], [2]]), torch.tensor([[3]])
    >>> rows = SharedRows([a, a, b])
    >>> rows.shape, rows[1:3].flatten().tolist()
    (torch.Size([5, 1]), [2, 1])
    >>> first, second = torch.split(rows, [2, 3])
    >>> first[0:2].data_ptr() == a.data_ptr() == second[0:2].data_ptr()
    True
    """

    def __init__(self, parts: Sequence[torch.Tensor]) -> None:
        self.parts = tuple(parts)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((sum(len(part) for part in self.parts), *self.parts[0].shape[1:]))

    @property
    def ndim(self) -> int:
        return self.parts[0].ndim

    @property
    def dtype(self) -> torch.dtype:
        return self.parts[0].dtype

    @property
    def device(self) -> torch.device:
        return self.parts[0].device

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or its length along a dimension, as a tensor's method does."""
        return self.shape if dim is None else self.shape[dim]

    def __len__(self) -> int:
        return self.shape[0]

    def _between(self, begin: int, end: int) -> list[torch.Tensor]:
        """Return views of the parts' rows from `begin` to before `end`; whole parts are returned themselves."""
        found, first = [], 0
        for part in self.parts:
            low, high = max(begin - first, 0), min(end - first, len(part))
            if low < high:
                found.append(part if high - low == len(part) else part[low:high])
            first += len(part)
        return found or [self.parts[0][:0]]

    def __getitem__(self, rows: slice) -> torch.Tensor:
        """Return the rows of a slice as a tensor, which is no copy where they lie in one part."""
        begin, end, step = rows.indices(len(self))
        if step != 1:
            raise IndexError(f"rows {rows}: expected a slice of neighbours")
        parts = self._between(begin, end)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def split(self, sizes: Sequence[int], dim: int = 0) -> list[SharedRows]:
        """Return rows in pieces of `sizes`, as `torch.split` does, without a copy.

        Raises:
            ValueError: The sizes do not add up, or another dimension is asked for.
        """
        if dim != 0 or sum(sizes) != len(self):
            raise ValueError(f"pieces of {sum(sizes)} rows along dimension {dim}, of {len(self)} rows along 0")
        ends = list(accumulate(sizes))
        return [SharedRows(self._between(end - size, end)) for size, end in zip(sizes, ends, strict=True)]

    def to(self, *args: Any, **kwargs: Any) -> SharedRows:
        """Return the rows on another device or in another dtype; what was shared stays shared."""
        moved = {id(part): part.to(*args, **kwargs) for part in self.parts}
        return SharedRows([moved[id(part)] for part in self.parts])

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Answer `torch.split` and `torch.cat`; PyTorch calls this where an argument is such an object."""
        if function is torch.split:
            return args[0].split(*args[1:], **(kwargs or {}))
        if function is torch.cat and (kwargs or {}).get("dim", 0) == 0 and len(args) == 1:
            return cls([part for rows in args[0] for part in (rows.parts if isinstance(rows, cls) else [rows])])
        return NotImplemented
