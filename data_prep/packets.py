"""Open a video file safely, list its packets and plan which of them to decode.

Reading the packets costs about half a per cent of decoding them, and they say all that a plan needs: when each frame
is shown and where decoding can start.
"""

import os
import stat
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

MAX_PIXELS = 1 << 26  # a picture above 67 megapixels (8K video has 33) is taken for an attack on memory
MAX_PACKETS = 1 << 22  # 19 hours at 60 frames a second

# Containers of films. Play lists, image sequences and text "formats" of FFmpeg are left out: they name other files.
FORMATS = "mov,mp4,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,asf,ogg,rm,gif,h264,hevc,m4v,ivf,obu,mxf,dv,nut,wtv"


class VideoError(ValueError):
    """A file that no frame can be read from; the message is one line that opens with the path."""

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in os.fspath(path))
        super().__init__(f"{shown}: {problem}".encode("utf-8", "backslashreplace").decode())


@contextmanager
def open_video(path: str | os.PathLike[str]) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the file's first video stream (cover pictures don't count) for decoding in one thread.

    Raises:
        VideoError: if there is no such file, or no video in it.
    """
    name = _checked(path)
    try:
        container = av.open(
            name, metadata_errors="replace", options={"format_whitelist": FORMATS, "protocol_whitelist": "file"}
        )
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError(path, f"cannot be read as a video ({_reason(error)})") from None
    with container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise VideoError(path, "holds no video stream")
        stream = streams[0]
        codec = stream.codec_context
        if codec is None:
            raise VideoError(path, "its video has a codec that PyAV cannot decode")
        check_pixels(path, codec.width, codec.height)
        codec.options = {"max_pixels": str(MAX_PIXELS)}
        codec.thread_type = "NONE"  # many processes with one thread each beat one with many
        codec.thread_count = 1
        yield container, stream


def check_pixels(path: str | os.PathLike[str], width: int, height: int) -> None:
    """Raise VideoError for a picture that is too large to be true."""
    if width * height > MAX_PIXELS:
        raise VideoError(path, f"pictures of {width}x{height}, expected at most {MAX_PIXELS} pixels")


def read_packets(container: InputContainer, stream: VideoStream) -> "Iterator[Packet[VideoStream]]":
    """The stream's packets in decode order; a file that breaks off ends there."""
    try:
        for packet in container.demux(stream):
            if packet.size:  # the last one is empty and only tells the decoder to drain
                yield packet
    except av.FFmpegError:
        return


@dataclass(frozen=True)
class PacketIndex:
    """What the packets of one stream say.

    Attributes:
        pts: time stamp of each packet in decode order, in ticks; None where the container has none.
        keyframe: for each packet, whether decoding can start there.
        shown: time stamps of the displayed packets, sorted; an edit list may hide some.
        last_duration: ticks that the last displayed frame stays, 0 where unknown.
        time_base: seconds a tick.
        rate: the container's average frames a second, None where unknown.
        codec: FFmpeg's name of the codec.
    """

    pts: list[int | None]
    keyframe: list[bool]
    shown: list[int]
    num_shown: int
    last_duration: int
    time_base: Fraction
    rate: Fraction | None
    codec: str

    @property
    def complete(self) -> bool:
        """Whether each packet has a time stamp, and one of its own."""
        return None not in self.pts and len(set(self.pts)) == len(self.pts)

    def plan(self, wanted: set[int]) -> list[tuple[int, int]] | None:
        """Ranges (first, last packet in decode order, inclusive) that decode the frames of these time stamps.

        Each begins at a keyframe. None if a frame is shown before the first keyframe, or keyframes are shown in
        another order than they are decoded in. Only for a `complete` index.
        """
        position = {pts: i for i, pts in enumerate(self.pts) if pts is not None}
        keys = [i for i, key in enumerate(self.keyframe) if key]
        key_pts = [self.pts[i] or 0 for i in keys]
        if not keys or sorted(key_pts) != key_pts or key_pts[0] > self.shown[0]:
            return None
        ranges: list[tuple[int, int]] = []
        for last in sorted(position[pts] for pts in wanted):
            # The last keyframe that is not shown after the target; frames before a later keyframe in display order
            # may come after it in decode order and still need the pictures before it.
            first = keys[bisect_right(key_pts, self.pts[last] or 0) - 1]
            if ranges and first <= ranges[-1][1]:
                first, previous = ranges.pop()
                last = max(last, previous)
            ranges.append((first, last))
        return ranges


def read_index(path: str | os.PathLike[str]) -> PacketIndex:
    """List the packets of the file's video.

    Raises:
        VideoError: if it is no video, holds no packet or more than `MAX_PACKETS`.
    """
    pts: list[int | None] = []
    keyframe: list[bool] = []
    shown: list[int] = []
    hidden = 0
    last_duration, last_pts = 0, None
    with open_video(path) as (container, stream):
        for packet in read_packets(container, stream):
            if len(pts) >= MAX_PACKETS:
                raise VideoError(path, f"more than {MAX_PACKETS} packets")
            pts.append(packet.pts)
            keyframe.append(packet.is_keyframe)
            if packet.is_discard:
                hidden += 1
            elif packet.pts is not None:
                shown.append(packet.pts)
                if last_pts is None or packet.pts >= last_pts:
                    last_pts, last_duration = packet.pts, packet.duration or 0
        codec = stream.codec_context
        index = PacketIndex(
            pts=pts,
            keyframe=keyframe,
            shown=sorted(shown),
            num_shown=len(pts) - hidden,
            last_duration=last_duration,
            time_base=stream.time_base or Fraction(1, 1000),
            rate=stream.average_rate or stream.guessed_rate or None,
            codec=codec.name,
        )
    if not index.num_shown:
        raise VideoError(path, "holds no frames")
    return index


def _checked(path: str | os.PathLike[str]) -> str:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise VideoError(path, f"cannot be opened ({_reason(error)})") from None
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(path, "a folder, expected a video file" if stat.S_ISDIR(status.st_mode) else "no plain file")
    if status.st_size == 0:
        raise VideoError(path, "is empty (0 bytes), expected a video file")
    return os.path.abspath(path)  # begins with "/": FFmpeg would take "http:x" for an address


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
