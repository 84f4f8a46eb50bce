"""Let torchvision's CUDA wheel be imported beside a CPU build of torch.

PyPI serves torchvision for Linux as a CUDA build only. Beside torch+cpu its compiled extension cannot be loaded, the
operators that the extension declares are missing, `import torchvision` ends with "operator torchvision::nms does not
exist", and every GLM-4V or Qwen-VL processor of transformers with it. The processors need torchvision's resizing
alone, which is plain Python over torch: with the two missing schemas declared, all that the recipe uses works. Calling
`torchvision.ops.nms` still fails, with torchvision's own message that its operators could not be loaded.

`install()` puts a finder on `sys.meta_path` that waits for the first `import torchvision` and then steps aside, so
that nothing is loaded early. It does nothing where torchvision loads by itself: beside a torch with CUDA or ROCm, on
macOS, or where torchvision is a CPU build too. It can go when PyPI serves a torchvision without CUDA.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

MISSING_OPS = ("nms", "qnms")  # what torchvision names at import, so what must be declared
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def install() -> None:
    """Arrange for the next `import torchvision` to succeed; cheap, loads nothing, safe to call again.

    >>> install()
    >>> install()
    >>> sum(isinstance(finder, TorchvisionFinder) for finder in sys.meta_path) <= 1
    True
    """
    waiting = any(isinstance(finder, TorchvisionFinder) for finder in sys.meta_path)
    if not waiting and "torchvision" not in sys.modules:
        sys.meta_path.insert(0, TorchvisionFinder())


class TorchvisionFinder(importlib.abc.MetaPathFinder):
    """Finds torchvision as Python does, and has its operators declared before its code runs."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "torchvision":
            return None
        # A spec is also asked for by code that only wonders whether torchvision is there: load nothing yet.
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        spec.loader = _DeclaringLoader(spec.loader, self)
        return spec


class _DeclaringLoader(importlib.abc.Loader):
    """Declares the operators, hands the module back to its own loader and takes the finder away."""

    def __init__(self, loader: importlib.abc.Loader, finder: TorchvisionFinder) -> None:
        self.loader = loader
        self.finder = finder

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if self.finder in sys.meta_path:  # not there: an earlier import got this far and failed later
            sys.meta_path.remove(self.finder)
            declare_missing_ops(list(module.__path__))
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)


def declare_missing_ops(package_path: Sequence[str]) -> bool:
    """Declare the schemas that torchvision needs in order to be imported, if its extension can't do so itself.

    `package_path` holds torchvision's folder. Returns whether anything was declared. The extension is really loaded to
    find out (torchvision would load it next anyway): version strings don't tell what a wheel was built against.
    """
    import torch

    if not torch.__version__.endswith("+cpu"):
        return False  # on a GPU machine a torchvision that can't be loaded is a fault to see, not to paper over
    extension = importlib.machinery.PathFinder.find_spec("_C", package_path)
    if extension is not None and extension.origin is not None:
        try:
            torch.ops.load_library(extension.origin)  # type: ignore[no-untyped-call,unused-ignore]
            return False
        except OSError:  # the CUDA libraries that it was linked with aren't here
            pass
    for name in MISSING_OPS:
        torch.library.define(f"torchvision::{name}", SCHEMA)
    return True
