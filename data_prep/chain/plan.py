"""The YAML of a build, read and checked: which data set lies where, and which mixtures, traces and frames are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from data_prep.command_line import did_you_mean
from data_prep.mixing.config import MixRecipe, read_recipe
from data_prep.stages import StageError

PATHS = (
    "annotations",
    "vidor",
    "classes",
    "categories",
    "lengths",
)  # options of sources that name what lies in a data set


@dataclass(frozen=True)
class Conversion:
    """One track file of one data set.

    Attributes:
        name: of the track file, such as "vidstg-train".
        out: the track file.
        argv: the command of `python -m data_prep` that makes it.
        reads: annotations and videos, which must be there.
        has_videos: its videos are named, so that its records' are to be found under the data sets' folder.
    """

    name: str
    out: Path
    argv: list[str]
    reads: list[Path]
    has_videos: bool

    @property
    def missing(self) -> list[Path]:
        """What it reads and is not there."""
        return [path for path in self.reads if not path.exists()]


@dataclass(frozen=True)
class Plan:
    """A build.

    Attributes:
        datasets: folder with a folder a data set; the records' videos start there.
        conversions: in the order of the file.
        mixtures: (YAML file, what it says).
        traces: options of `data_prep traces`, with `tracks` and `out`; empty: none are made.
        frames: options of `data_prep frames`, one mapping a folder of shards.
        homes: data set's folder -> where the data set is to be had.
    """

    datasets: Path
    conversions: list[Conversion]
    mixtures: list[tuple[str, MixRecipe]]
    traces: dict[str, Any]
    frames: list[dict[str, Any]]
    homes: dict[str, str]

    def missing(self) -> str:
        """Return in one line which folders are not there, what they are for and where to get them; "" for none."""
        for_what: dict[Path, list[str]] = {}
        for conversion in self.conversions:
            for path in conversion.missing:
                below = path.relative_to(self.datasets) if path.is_relative_to(self.datasets) else path
                whole = self.datasets / below.parts[0]
                names = for_what.setdefault(path if whole.exists() else whole, [])
                names += [] if conversion.name in names else [conversion.name]
        parts = []
        for path, names in for_what.items():
            below = path.relative_to(self.datasets) if path.is_relative_to(self.datasets) else path
            home = self.homes.get(below.parts[0])
            parts.append(f"{path} (for {', '.join(names)}{f'; from {home}' if home else ''})")
        return ", ".join(parts)


@dataclass(frozen=True)
class _File:
    """The keys of the file."""

    sources: dict[str, Any]
    datasets: str = "data"
    tracks: str = "data/tracks"
    mixtures: list[str] = field(default_factory=list)
    traces: dict[str, Any] = field(default_factory=dict)
    frames: list[dict[str, Any]] = field(default_factory=list)
    homes: dict[str, str] = field(default_factory=dict)


def read_plan(path: Path, datasets: Path | None = None) -> Plan:
    """Return the build of a YAML file; `datasets` of the command line overrides the file's.

    Raises:
        StageError: the file or a mixture that it names is at fault; the message names file, key and what was expected.
        OSError: a file cannot be read.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise StageError(f"{path}: no YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(values, dict) or not isinstance(values.get("sources"), dict) or not values["sources"]:
        raise StageError(f"{path}: expected a mapping with `sources`, from a track file's name to its source")
    known = {one.name: one for one in fields(_File)}
    for key in values:
        if key not in known:
            raise StageError(f"{path}: unknown key {key!r}{did_you_mean(str(key), known)}")
    read = _File(**values)
    for name, kind in (("mixtures", list), ("traces", dict), ("frames", list), ("homes", dict)):
        if not isinstance(getattr(read, name), kind):
            raise StageError(f"{path}: {name} is {getattr(read, name)!r:.80}, expected a {kind.__name__}")
    root, tracks = datasets or Path(str(read.datasets)), Path(str(read.tracks))
    conversions = [_conversion(f"{path}: {name}", str(name), one, root, tracks) for name, one in read.sources.items()]
    if read.traces:
        _need(f"{path}: traces", read.traces, ("tracks", "out"))
    for number, one in enumerate(read.frames, 1):
        _need(f"{path}: frames {number}", one, ("tracks", "out"))
    mixtures = [(str(one), read_recipe(Path(str(one)))) for one in read.mixtures]
    homes = {str(name): str(home) for name, home in read.homes.items()}
    return Plan(root, conversions, mixtures, read.traces, read.frames, homes)


def _need(where: str, values: Any, needed: tuple[str, ...]) -> None:
    for key in needed:
        if not isinstance(values, Mapping) or key not in values:
            raise StageError(f"{where}: {key} is missing")


def _conversion(where: str, name: str, values: Any, root: Path, tracks: Path) -> Conversion:
    """Return the conversion that one entry of `sources` describes, its command read by its own parser."""
    _need(where, values, ("source", "annotations"))
    options = {str(key): value for key, value in values.items() if key not in ("source", "videos")}
    paths = {key: root / str(options[key]) for key in PATHS if key in options}
    if videos := values.get("videos"):
        paths["video_root"] = root / str(videos)
        options["video_prefix"] = str(videos)
    out = tracks / f"{name}.jsonl"
    argv = [str(values["source"]), *as_argv(options | paths | {"out": out})]
    read_argv(where, argv)
    return Conversion(name, out, argv, list(dict.fromkeys(paths.values())), bool(videos))


def as_argv(options: Mapping[str, Any]) -> list[str]:
    """Return options as a command line has them; true is a flag, false and null leave it out.

    >>> as_argv({"fps": 30, "strict": True, "split": None, "tracks": ["a", "b"]})
    ['--fps', '30', '--strict', '--tracks', 'a', 'b']
    """
    argv: list[str] = []
    for key, value in options.items():
        if value is None or value is False:
            continue
        argv.append(f"--{key}")
        if value is not True:
            argv += [str(one) for one in (value if isinstance(value, list) else [value])]
    return argv


def read_argv(where: str, argv: list[str]) -> Any:
    """Return what the parser of a command of `python -m data_prep` makes of a command line.

    Raises:
        StageError: the parser refuses it; the message begins with `where`.
    """
    from data_prep.__main__ import parser  # which imports this package

    try:
        return parser().parse_args(argv)
    except ValueError as error:
        raise StageError(f"{where}: {error}") from None
