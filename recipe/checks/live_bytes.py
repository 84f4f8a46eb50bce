"""How many bytes tensors hold at a time: counted operation by operation, of real tensors or of such without memory."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Context that counts the bytes of tensors made inside it, from their making until nothing refers to them.

    Views share their base's storage and count once. What one operation allocates and frees inside itself is not seen,
    nor are tensors made before the context, so `peak` is what a piece of work needs on top of what was there.

    Attributes:
        now: bytes that live at this moment.
        peak: most bytes that ever lived at once.

    Example:
        >>> with LiveBytes() as live:
        ...     two = torch.zeros(1000) + torch.ones(1000)
        >>> live.now, live.peak
        (4000, 12000)
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}  # bytes by id of a storage; 0 for those that were there before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf, made_here=False)
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf, made_here=True)
        return result

    def _count(self, tensor: torch.Tensor, *, made_here: bool) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes() if made_here else 0
        self.now += self._sizes[key]
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.now -= self._sizes.pop(key)
