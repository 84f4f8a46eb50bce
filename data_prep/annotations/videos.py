"""Find the video that an annotation file names: below one folder, and nowhere else."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from data_prep.convert.reasons import Drop, Reason
from data_prep.records import RecordError, resolve_video
from data_prep.validation import quote
from data_prep.video.numbered import ENDINGS
from data_prep.video_ids import FRAME_FOLDERS

MOST_FILES = 1 << 20
FILMS = {
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts",
    ".webm", ".wmv",
}  # fmt: skip
# What Label Studio writes before the name of a file that was uploaded.
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)", re.DOTALL)


def is_film(name: str) -> bool:
    """Return whether a path or address ends as the name of a video file does.

    >>> is_film("https://host/a.mp4?token=1"), is_film("a.json")
    (True, False)
    """
    return os.path.splitext(name.split("?")[0])[1].lower() in FILMS


class Videos:
    """Know the videos below a folder by their paths and names.

    Raises:
        RecordError: the folder is none, or holds more than `MOST_FILES` files.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise RecordError(f"--videos {root}: no such folder")
        self.root = root
        self.films: list[str] = []
        self._by_name: dict[str, list[str]] = {}
        number = 0
        for folder, _, names in os.walk(root):
            number += len(names)
            if number > MOST_FILES:
                raise RecordError(f"--videos {root}: more than {MOST_FILES} files, expected a folder of videos")
            relative = Path(folder).relative_to(root).as_posix()
            films = [name for name in names if is_film(name)]
            paths = [name if relative == "." else f"{relative}/{name}" for name in films]
            if relative != "." and any(os.path.splitext(name)[1].lower() in ENDINGS for name in names):
                paths.append(relative)
            self.films += paths
            for path in paths:
                *folders, name = path.split("/")
                keys = {name, os.path.splitext(name)[0]}
                if folders and name.lower() in FRAME_FOLDERS:
                    keys.add(folders[-1])  # the frames of sequence x lie in x/img1
                for key in keys:
                    self._by_name.setdefault(key, []).append(path)
        self._known = frozenset(self.films)

    def find(self, name: str | None) -> str:
        """Return the path, below the folder, of the video that a file calls by a path, a name or an address.

        The longest end of the given path that exists is taken; else a video of that name in any folder, with any
        ending. Without a name it is the folder's only video.

        Raises:
            Drop: there is none, or more than one.
        """
        if name is None:
            if len(self.films) != 1:
                raise Drop(
                    Reason.MISSING_VIDEO,
                    f"the file names no video and {self.root} holds {len(self.films)}; give --video NAME",
                )
            return self.films[0]
        for parts in _spellings(name):
            for begin in range(len(parts)):
                path = "/".join(parts[begin:])
                if self._has(path):
                    return path
            found = self._by_name.get(parts[-1]) or self._by_name.get(os.path.splitext(parts[-1])[0])
            if found and len(found) > 1:
                raise Drop(
                    Reason.AMBIGUOUS,
                    f"video {quote(name)} can be {found[0]} and {found[1]} of {self.root}; name it with its folder",
                )
            if found:
                return found[0]
        raise Drop(Reason.MISSING_VIDEO, f"video {quote(name, 200)} is not under {self.root}")

    def _has(self, path: str) -> bool:
        if path in self._known:
            return True
        try:
            return resolve_video(self.root, path).is_file()
        except (RecordError, OSError):
            return False


def _spellings(name: str) -> list[list[str]]:
    """Return the parts of the paths that a name can mean, the likeliest first.

    >>> _spellings("https://host/data/1/0a1b2c3d-my%20cat.mp4?x=1")[-1]
    ['host', 'data', '1', 'my cat.mp4']
    >>> _spellings("/data/local-files/?d=set/a.mp4")[1]
    ['set', 'a.mp4']
    """
    plain = name.replace("\\", "/")
    paths = [plain]
    if "://" in plain or "?" in plain:
        try:
            address = urlsplit(plain)
            paths += parse_qs(address.query).get("d", [])
            paths.append(f"{address.netloc}/{address.path}")
        except ValueError:  # no address after all
            pass
    paths += [unquote(path) for path in paths if "%" in path]
    spellings = []
    for path in paths:
        parts = [part for part in path.split("/") if part not in ("", ".", "..") and "\0" not in part]
        if parts:
            spellings.append(parts)
            if match := _UPLOADED.fullmatch(parts[-1]):
                spellings.append([*parts[:-1], match[1]])
    return spellings
