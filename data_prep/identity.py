"""What a file or a checkpoint *is*: its content, never its name.

Weights and annotations are known by a digest. Videos, which are large and many, are known by their resolved path with
size and time of change. Outputs are compared with inputs as files, whatever they are called.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data_prep.errors import StageError
from data_prep.files import atomic_write

LARGE = 64 * 2**20  # bytes from which on digests are remembered between processes
SETTLED_S = 2.0  # a file that changed within these seconds may change again within one tick of the clock

# What the answers of a checkpoint folder depend on, beside its weights.
_BESIDE_WEIGHTS = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    "adapter_config.json",
)
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


def text_digest(*parts: Any) -> str:
    """Return the sha256 of JSON-like values, as 64 hex digits; the order of a mapping's keys does not matter."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's content, as 64 hex digits.

    Digests of files from 64 MiB on are remembered with size and time of change in the user's cache folder
    (`$XDG_CACHE_HOME/stvg-recipe/digests.json`), so that the weights of a 9B model are read once and not by every
    stage.

    Raises:
        StageError: There is no such file.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise StageError(f"{path}: no such file; an earlier stage makes it (make help lists them)") from None
    remembered = status.st_size >= LARGE and time.time() - status.st_mtime > SETTLED_S
    key = stamp_of(path) if remembered else ""
    if remembered and (known := _remembered().get(key)):
        return known
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    if remembered:
        _remember(key, digest.hexdigest())
    return digest.hexdigest()


def stamp_of(path: Path) -> str:
    """Return "resolved path|size in bytes|time of change in ns" of a file: what a video or a cached frame is known by.

    Raises:
        FileNotFoundError: There is no such file.

    Example:
        >>> stamp_of(Path(__file__)).split("|")[0].endswith("identity.py")
        True
    """
    real = path.resolve()
    status = real.stat()
    return f"{real}|{status.st_size}|{status.st_mtime_ns}"


def checkpoint_parts(folder: Path) -> dict[str, str]:
    """Return file name -> digest of what a checkpoint's answers depend on: weights, configs, tokenizer, template.

    Logs, optimiser states and stamps beside them do not count. A folder without any of these files gives {}.
    """
    names = {path.name for pattern in _WEIGHTS for path in folder.glob(pattern)}
    names |= {name for name in _BESIDE_WEIGHTS if (folder / name).is_file()}
    templates = sorted((folder / "additional_chat_templates").glob("*.jinja"))
    return {name: file_digest(folder / name) for name in sorted(names)} | {
        f"additional_chat_templates/{path.name}": file_digest(path) for path in templates
    }


def checkpoint_identity(name_or_path: str | os.PathLike[str]) -> str:
    """Return the digest of a checkpoint folder's content, or "id:NAME@COMMIT" for a model id that is no folder here.

    COMMIT is what the local hub cache holds of the main branch, which is what is loaded; without it, "id:NAME".

    Raises:
        StageError: The folder holds no config.json, so it is no checkpoint.
    """
    folder = Path(name_or_path)
    if not folder.is_dir():
        commit = hub_commit(str(name_or_path))
        return f"id:{name_or_path}@{commit}" if commit else f"id:{name_or_path}"
    if not (folder / "config.json").is_file():
        raise StageError(f"{folder}: no config.json there, so no checkpoint; an earlier stage makes it (make help)")
    return text_digest(checkpoint_parts(folder))


def hub_commit(name: str) -> str | None:
    """Return the commit of a model id's main branch in the local hub cache; None where the cache has none."""
    cache = hub_cache() / f"models--{name.replace('/', '--')}"
    try:
        commit = (cache / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return commit if re.fullmatch(r"[0-9a-f]{40,64}", commit) and (cache / "snapshots" / commit).is_dir() else None


def hub_cache() -> Path:
    """Return the hub's local cache folder, by the rules and variables of huggingface_hub."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "huggingface"
    )
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(os.path.expanduser(os.path.expandvars(given or os.path.join(home, "hub"))))


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | str | None]) -> None:
    """Refuse an output that is one of the inputs, or the file of another output, before anything is opened.

    Args:
        outputs: flag -> path to be written; None where the flag was not given.
        inputs: paths that are read; a folder counts for itself only, not for the files in it.

    Raises:
        StageError: Names the flag and the path.

    Example:
        >>> check_outputs({"--out": Path("a.json")}, [Path("b.json"), None])
        >>> check_outputs({"--out": Path("a.json")}, [Path("./a.json")])
        Traceback (most recent call last):
        data_prep.errors.StageError: --out a.json: one of the inputs, which would be overwritten; choose another
    """
    read = [Path(path) for path in inputs if path is not None]
    seen: dict[str, str] = {}
    for flag, path in outputs.items():
        if path is None:
            continue
        if any(same_file(path, other) for other in read):
            raise StageError(f"{flag} {path}: one of the inputs, which would be overwritten; choose another")
        real = str(path.resolve())
        if real in seen:
            raise StageError(f"{flag} {path}: {seen[real]} names the same file; choose another")
        seen[real] = flag


def same_file(first: Path, second: Path) -> bool:
    """Return whether two paths lead to one file or folder, through links and spellings; it need not exist yet."""
    if first.resolve() == second.resolve():
        return True
    try:
        return first.samefile(second)
    except OSError:
        return False


def _memory() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "stvg-recipe" / "digests.json"


def _remembered() -> dict[str, str]:
    try:
        known = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(key: str, digest: str) -> None:
    try:
        with atomic_write(_memory()) as out:
            json.dump(_remembered() | {key: digest}, out)
    except OSError:
        pass  # a home that cannot be written: the file is read again next time
