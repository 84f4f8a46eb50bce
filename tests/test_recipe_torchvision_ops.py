"""The torchvision finder, with stand-ins for torch and torchvision (both ways) and with the real ones."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FAKE_TORCH = """
import types
__version__ = {version!r}
loaded, defined = [], []
def load_library(path):
    loaded.append(path)
    if not {loads}:
        raise OSError("libcudart.so.13: cannot open shared object file")
ops = types.SimpleNamespace(load_library=load_library)
library = types.SimpleNamespace(define=lambda name, schema: defined.append(name))
"""


def run_python(code: str, *folders: Path) -> str:
    """Run `code` in a fresh interpreter, `folders` and the repository first on sys.path; return what it printed."""
    prelude = f"import sys; sys.path[:0] = {[str(folder) for folder in (*folders, ROOT)]!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(code)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def stand_ins(folder: Path, version: str, loads: bool, extension: bool = True) -> Path:
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text(FAKE_TORCH.format(version=version, loads=loads))
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text("import torch\nseen = list(torch.defined)\n")
    if extension:
        (folder / "torchvision" / "_C.so").write_bytes(b"")
    return folder


BOTH = ["torchvision::nms", "torchvision::qnms"]


@pytest.mark.parametrize(
    ("version", "loads", "extension", "declared", "tried"),
    [
        ("2.13.0+cpu", False, True, BOTH, 1),  # the CUDA wheel of torchvision: declared before its code ran
        ("2.13.0+cpu", True, True, [], 1),  # a CPU build of torchvision declares its own
        ("2.13.0+cpu", False, False, BOTH, 0),  # built without its extension
        ("2.13.0+cu130", False, True, [], 0),  # a GPU machine: not even looked at
        ("2.13.0", True, True, [], 0),  # macOS
    ],
)
def test_declares_only_where_torchvision_cannot(tmp_path, version, loads, extension, declared, tried):
    folder = stand_ins(tmp_path, version, loads, extension)
    out = run_python("import recipe, torch, torchvision; print(torchvision.seen, len(torch.loaded))", folder)
    assert out == f"{declared} {tried}"


def test_finder_waits_for_the_import_and_then_goes(tmp_path):
    code = """
        import importlib.util, recipe, sys
        from recipe.inputs.torchvision_ops import TorchvisionFinder, install
        install()
        waiting = lambda: sum(isinstance(finder, TorchvisionFinder) for finder in sys.meta_path)
        importlib.util.find_spec("torchvision")  # a look that imports nothing
        print(waiting(), "torch" in sys.modules)
        import torchvision
        loader = type(torchvision.__loader__).__name__, type(torchvision.__spec__.loader).__name__
        install()
        print(waiting(), *loader)
    """
    out = run_python(code, stand_ins(tmp_path, "2.13.0+cpu", loads=False))
    assert out.splitlines() == ["1 False", "0 SourceFileLoader SourceFileLoader"]


def test_second_import_after_a_failed_one_declares_no_more(tmp_path):
    folder = stand_ins(tmp_path, "2.13.0+cpu", loads=False)
    code = """
        import recipe, torch
        for attempt in range(2):
            try:
                import torchvision
            except ZeroDivisionError:
                print("failed", end=" ")
        print(len(torch.defined))
    """
    (folder / "torchvision" / "__init__.py").write_text("1 / 0\n")
    assert run_python(code, folder) == "failed failed 2"


def test_without_torchvision_the_error_is_pythons(tmp_path):
    code = """
        import sys
        sys.path = [p for p in sys.path if "site-packages" not in p]
        import recipe
        try:
            import torchvision
        except ModuleNotFoundError as error:
            print(error)
    """
    assert run_python(code) == "No module named 'torchvision'"


@pytest.mark.slow
def test_the_real_processor_loads():
    code = """
        import recipe, sys
        assert "torch" not in sys.modules
        import torchvision
        from transformers import AutoProcessor, Glm4vProcessor
        import torch
        from torchvision.transforms.v2 import functional
        print(tuple(functional.resize(torch.zeros(3, 8, 8), [4, 4]).shape))
    """
    pytest.importorskip("torch")
    assert run_python(code) == "(3, 4, 4)"
