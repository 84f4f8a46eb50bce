"""The synthetic source's YAML: seed, clip settings and splits, every key checked before anything is made."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data_prep.sources.synthetic_clips import ClipSettings
from data_prep.yaml_files import read_yaml

BOXES = ("middle", "mean")  # a second's true box: its middle frame's, or the mean over its frames
USES = ("general", "ground", "test", "scene", "questions")
SHARES = ("no_target", "temporal")  # of a split's sentences; of uses that have sentences
WITH_SENTENCES = ("ground", "test")


def read_config(path: Path) -> dict[str, Any]:
    """Read and check the YAML file of `--config`.

    Raises:
        ValueError: A key that is not known or missing, or a value of the wrong kind; the message names it.
    """
    config = read_yaml(path)
    check_keys(config, f"{path}", {"seed", "box", "clip", "splits"}, ("splits",))
    if config.get("box", "middle") not in BOXES:
        raise ValueError(f"{path}: box is {config['box']!r}, expected one of {', '.join(BOXES)}")
    check_clip(config, f"{path}")
    check_mapping(config["splits"], f"{path}: splits")
    for split, wanted in config["splits"].items():
        check_split(wanted, f"{path}: {split}")
    return dict(config)


def check_split(wanted: Any, where: str) -> None:
    """Check the settings of one split: its number of clips, its use, its shares, and its own clip settings."""
    check_keys(wanted, where, {"clips", "use", "clip", *SHARES}, ("clips", "use"))
    check_clip(wanted, where)
    if isinstance(wanted["clips"], bool) or not isinstance(wanted["clips"], int) or wanted["clips"] < 1:
        raise ValueError(f"{where}: clips is {wanted['clips']!r}, expected a whole number above 0")
    if wanted["use"] not in USES:
        raise ValueError(f"{where}: use is {wanted['use']!r}, expected one of {', '.join(USES)}")
    shares = {name: wanted[name] for name in SHARES if name in wanted}
    for name, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise ValueError(f"{where}: {name} is {share!r}, expected a share of the sentences from 0 to 1")
        if wanted["use"] not in WITH_SENTENCES:
            raise ValueError(f"{where}: {name} is for use {' or '.join(WITH_SENTENCES)}, not {wanted['use']}")
    if sum(shares.values()) > 1:
        raise ValueError(f"{where}: {' and '.join(shares)} are {sum(shares.values()):g} together, expected at most 1")


def check_clip(holder: dict[str, Any], where: str) -> None:
    """Check that the clip settings of the config or of a split, if there are any, have known keys only."""
    if "clip" in holder:
        check_keys(holder["clip"], f"{where}: clip", set(ClipSettings.__dataclass_fields__))
        try:
            clip_settings(holder, {})
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None


def check_keys(value: Any, where: str, known: set[str], needed: Iterable[str] = ()) -> None:
    """Compare a mapping of the YAML with the keys that it may and must have.

    Raises:
        ValueError: It is no mapping, or a key is unknown or missing.
    """
    check_mapping(value, where)
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
            raise ValueError(f"{where}: unknown key {key!r}; {hint}")
    for key in needed:
        if key not in value:
            raise ValueError(f"{where}: key {key!r} is missing")


def check_mapping(value: Any, where: str) -> None:
    """Raise a ValueError where the YAML holds something else than a mapping with keys."""
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{where}: found {value!r:.80}, expected a mapping of keys to values")


def clip_settings(config: dict[str, Any], wanted: dict[str, Any]) -> ClipSettings:
    """Return a split's ClipSettings: the config's, overridden by the split's own."""
    values: dict[str, Any] = config.get("clip", {}) | wanted.get("clip", {})
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return ClipSettings(**values)
