"""What a video is called whatever data set names it, so that evaluation videos stay out of training."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from data_prep.records import read_records
from data_prep.stages import StageError

# Last parts of a path that name no video: frames of a sequence lie in them.
FRAME_FOLDERS = {"img", "img1", "imgs", "images", "frames", "color", "jpegimages", "origin"}
# A list of endings, not "what stands after the last dot": names may have dots of their own.
_ENDING = re.compile(r"\.(?:3gp|avi|flv|gif|m2ts|m4v|mkv|mov|mp4|mpeg|mpg|ogv|ts|webm|wmv)$")
# ActivityNet's v_ before the 11 characters of a YouTube id, which other data sets leave out.
_YOUTUBE = re.compile(r"v_([\w-]{11})")
# MOT16's sequences are MOT17's, where each stands three times, once a detector.
_MOT = re.compile(r"mot1[67]-(\d\d)(?:-(?:dpm|frcnn|sdp))?")


def video_key(video: str) -> str:
    """Return what identifies a video across data sets: the name of its file or sequence, without folders and ending.

    VidSTG's `0001/1000.mp4`, NExT-GQA's `1000` and VidOR's `0001/1000` are one video. Two different videos whose names
    differ only by the folder have one key too: better one video too few in training than one of an evaluation set.

    Returns:
        The key in lower case and Unicode's NFC (a Mac writes letters and their accents apart); "" for a path that
        names nothing.

    >>> video_key("0001/1000.mp4"), video_key("1000"), video_key("val/dancetrack0004/img1")
    ('1000', '1000', 'dancetrack0004')
    >>> video_key("v_QOlSCBRmfWY.webm"), video_key("MOT17-02-SDP/img1"), video_key("clip.with.dots")
    ('qolscbrmfwy', 'mot16-02', 'clip.with.dots')
    """
    plain = unicodedata.normalize("NFC", video.strip().lower())
    parts = [part for part in plain.replace("\\", "/").split("/") if part not in ("", ".")]
    while len(parts) > 1 and parts[-1] in FRAME_FOLDERS:
        parts.pop()
    name = parts[-1] if parts else ""
    while (shorter := _ENDING.sub("", name)) not in ("", name):
        name = shorter
    if match := _YOUTUBE.fullmatch(name):
        return match[1]
    if match := _MOT.fullmatch(name):
        return f"mot16-{match[1]}"
    return name


def evaluation_keys(tracks: Iterable[str], lists: Iterable[str]) -> set[str]:
    """Return the keys of the videos of evaluation sets.

    Args:
        tracks: track files.
        lists: text files with a path or an id a line.

    Raises:
        StageError: a file that names no video, which would keep nothing out.
        RecordError: a line of a track file is no record.
    """
    keys: set[str] = set()
    for path in tracks:
        keys |= _some({video_key(record["video"]) for record in read_records(path)}, path)
    for path in lists:
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise StageError(f"{path}: no text, expected the path or id of a video a line") from None
        keys |= _some({video_key(line) for line in lines}, path)
    return keys


def _some(keys: set[str], path: str) -> set[str]:
    keys.discard("")
    if not keys:
        raise StageError(f"{path}: names no video, so that nothing would be kept out of training")
    return keys
