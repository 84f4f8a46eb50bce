"""Open a picture file safely: plain files, the decoders of photographs, and no link out of a root."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from PIL import Image

# By what the file holds, not by its ending. Pillow's other decoders are left out: one starts Ghostscript, which runs
# the program that a PostScript file is, and none is what data sets hold.
FORMATS = ("JPEG", "PNG", "WEBP")
# What Pillow raises for files that are no picture.
UNREADABLE = (OSError, RuntimeError, SyntaxError, Image.DecompressionBombError, ValueError)


def open_still(
    path: str | os.PathLike[str] | IO[bytes], *, root: Path | None = None, formats: tuple[str, ...] = FORMATS
) -> Image.Image:
    """Open a picture, which is decoded when its pixels are asked for; use it as a context manager.

    Args:
        path: the file, or its bytes as a stream.
        root: a folder that links of the path may not lead out of; None: links may lead anywhere.
        formats: decoders in Pillow's words.

    Raises:
        OSError: It is no plain file (a pipe would wait for ever), a link out of the root, or holds no such picture.

    >>> import io
    >>> out = io.BytesIO()
    >>> Image.new("RGB", (3, 2)).save(out, "PNG")
    >>> open_still(out).size
    (3, 2)
    """
    if isinstance(path, (str, os.PathLike)):
        real = Path(path).resolve()
        if root is not None and not real.is_relative_to(root.resolve()):
            raise OSError(f"a link out of the root, to {real}")
        if not stat.S_ISREG(os.stat(real).st_mode):
            raise OSError("no plain file, expected a picture")
    return Image.open(path, formats=list(formats))
