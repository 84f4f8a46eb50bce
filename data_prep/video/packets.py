"""Open a video file safely, list its packets and plan which of them to decode.

Reading the packets costs about half a per cent of decoding them, and they say all that a plan needs: when each frame
is shown and where decoding can start.
"""

import math
import os
import stat
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

MAX_PIXELS = 1 << 26  # a picture above 67 megapixels (8K video has 33) is taken for an attack on memory
MAX_PACKETS = 1 << 22  # 19 hours at 60 frames a second
PACKET_BYTES = 640  # what a kept packet takes beside its payload: a file can have many packets of a few bytes
KEEP_BYTES = 1 << 26  # packets of larger files are read from disk again instead of being kept

# Containers of films. Play lists, image sequences and text "formats" of FFmpeg are left out: they name other files.
FORMATS = "mov,mp4,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,asf,ogg,rm,gif,h264,hevc,m4v,ivf,obu,mxf,dv,nut,wtv"


class VideoError(ValueError):
    """A file that no frame can be read from; the message is one line that opens with the path."""

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        super().__init__(self.line(path, problem))

    @staticmethod
    def line(path: str | os.PathLike[str], problem: str) -> str:
        """Return the message about a path."""
        shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in os.fspath(path))
        return f"{shown}: {problem}"


@dataclass(frozen=True)
class PacketIndex:
    """What the packets of one stream say.

    Attributes:
        pts: time stamp of each packet in decode order, in ticks; None where the container has none.
        keyframe: for each packet, whether decoding can start there.
        shown: time stamps of the displayed packets, sorted, unknown ones last; an edit list may hide some.
        last_duration: ticks that the last displayed frame stays, 0 where unknown.
        time_base: seconds a tick.
        rate: average frames a second, None where unknown.
        reorders: whether the decoder may show frames in another order than it decodes them.
        states_display: whether the container is one that writes down when frames are shown (MP4, Matroska).
    """

    pts: list[int | None]
    keyframe: list[bool]
    shown: list[int | None]
    last_duration: int
    time_base: Fraction
    rate: Fraction | None
    reorders: bool
    states_display: bool = False

    @property
    def complete(self) -> bool:
        """Whether each packet has a time stamp of its own that can be the time of display.

        Some containers (AVI) know decode order only and number the packets by it. In one that states times of display
        the same order means that no frame happens to be reordered.
        """
        if None in self.pts or len(set(self.pts)) < len(self.pts):
            return False
        known = [pts for pts in self.pts if pts is not None]
        suspicious = self.reorders and not self.states_display and len(known) > 2
        return not (suspicious and known == sorted(known))

    def frame_ticks(self, stamps: Sequence[int | None]) -> list[int]:
        """Return the ticks at which frames appear, given their time stamps in display order.

        Stamps in another order were made for decoding: sorted they are right again. Missing or equal ones say
        nothing, and the average rate stands in.
        """
        known = sorted(stamp for stamp in stamps if stamp is not None)
        if len(known) == len(stamps) and (len(known) < 2 or known[0] < known[-1]):
            return known
        step = 1 / ((self.rate or Fraction(25)) * self.time_base)
        return [round(number * step) for number in range(len(stamps))]

    def plan(self, wanted: set[int]) -> list[tuple[int, int]] | None:
        """Return ranges (first, last packet in decode order, inclusive) that decode the frames of these time stamps.

        Each range begins at a keyframe. Return None if a frame is shown before the first keyframe, or if keyframes are
        shown in another order than they are decoded in: the whole file has to be decoded then. The index must be
        `complete`.
        """
        position = {pts: i for i, pts in enumerate(self.pts) if pts is not None}
        keys = [i for i, key in enumerate(self.keyframe) if key]
        key_pts = [self.pts[i] or 0 for i in keys]
        # The search below bisects the keyframes by time, so their times must rise. A frame that is shown before the
        # first keyframe (a file that was cut) has no packet to start from.
        if not keys or sorted(key_pts) != key_pts or key_pts[0] > (self.shown[0] or 0):
            return None
        ranges: list[tuple[int, int]] = []
        for last in sorted(position[pts] for pts in wanted):  # by packet, so that ranges that overlap are neighbours
            # The last keyframe that is not shown after the target: frames shown before a keyframe may be decoded
            # after it and still need the pictures before it.
            first = keys[bisect_right(key_pts, self.pts[last] or 0) - 1]
            # Starting again at a keyframe inside the last range would decode its packets twice: extend that range.
            if ranges and first <= ranges[-1][1]:
                first, _ = ranges.pop()
            ranges.append((first, last))
        return ranges


@dataclass(frozen=True)
class OpenVideo:
    """An open file: its index, its decoder and its packets, as often as they are asked for.

    Attributes:
        path: the file.
        index: what its packets say.
        codec: the decoder, one thread; `flush_buffers()` makes it ready for another start.
        pixel_aspect: a pixel's width over its height (SAR), None where the file doesn't say.
    """

    path: str | os.PathLike[str]
    index: PacketIndex
    codec: VideoCodecContext
    pixel_aspect: Fraction | None
    _kept: "list[Packet[VideoStream]] | None"

    def packets(self) -> "Iterator[Packet[VideoStream]]":
        """Yield the packets in decode order."""
        if self._kept is not None:
            yield from self._kept
            return
        with open_stream(self.path) as (container, stream):
            yield from demux(container, stream)


@contextmanager
def open_video(path: str | os.PathLike[str]) -> Iterator[OpenVideo]:
    """Open the file's first video stream (cover pictures don't count) and read its index.

    Raises:
        VideoError: if there is no such file, no video in it, no packet or more than `MAX_PACKETS`, or its pictures
            are larger than `MAX_PIXELS`.
    """
    with open_stream(path) as (container, stream):
        pts: list[int | None] = []
        keyframe: list[bool] = []
        shown: list[int | None] = []
        kept: list[Packet[VideoStream]] | None = []
        kept_bytes = last_duration = 0
        last_shown = -math.inf
        for packet in demux(container, stream):
            if len(pts) >= MAX_PACKETS:
                raise VideoError(path, f"more than {MAX_PACKETS} packets")
            pts.append(packet.pts)
            keyframe.append(packet.is_keyframe)
            if not packet.is_discard:
                shown.append(packet.pts)
                if packet.pts is not None and packet.pts >= last_shown:
                    last_shown, last_duration = packet.pts, packet.duration or 0
            kept_bytes += packet.size + PACKET_BYTES
            if kept_bytes > KEEP_BYTES:
                kept = None
            if kept is not None:
                kept.append(packet)
        if not shown:
            raise VideoError(path, "holds no frames")
        # Without time stamps the average is FFmpeg's default of 25, the guess reads the stream's own header.
        rates = (stream.average_rate, stream.guessed_rate)
        index = PacketIndex(
            pts=pts,
            keyframe=keyframe,
            shown=sorted(shown, key=lambda stamp: math.inf if stamp is None else stamp),
            last_duration=last_duration,
            time_base=stream.time_base or Fraction(1, 1000),
            rate=next((rate for rate in (reversed(rates) if None in pts else rates) if rate), None),
            reorders=stream.codec_context.has_b_frames,
            states_display=bool({"mov", "matroska"} & set(container.format.name.split(","))),
        )
        yield OpenVideo(path, index, stream.codec_context, stream.sample_aspect_ratio, kept)


def check_pixels(path: str | os.PathLike[str], width: int, height: int) -> None:
    """Raise VideoError for a picture that is too large to be true."""
    if width * height > MAX_PIXELS:
        raise VideoError(path, f"pictures of {width}x{height}, expected at most {MAX_PIXELS} pixels")


@contextmanager
def open_stream(path: str | os.PathLike[str]) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the file's first video stream; no packet is read yet.

    Raises:
        VideoError: There is no such file, it is no video, or its pictures are larger than `MAX_PIXELS`.
    """
    name = _checked(path)
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        container = av.open(name, metadata_errors="replace", options=options)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError(path, f"cannot be read as a video ({_reason(error)})") from None
    with container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise VideoError(path, "holds no video stream")
        codec = streams[0].codec_context
        if codec is None:
            raise VideoError(path, "its video has a codec that PyAV cannot decode")
        check_pixels(path, codec.width, codec.height)
        codec.options = {"max_pixels": str(MAX_PIXELS)}  # pictures may grow in mid-stream
        codec.thread_type = "NONE"  # many processes with one thread each beat one with many
        codec.thread_count = 1
        yield container, streams[0]


def demux(container: InputContainer, stream: VideoStream) -> "Iterator[Packet[VideoStream]]":
    """Yield the stream's packets, up to the point where a damaged file breaks off."""
    try:
        for packet in container.demux(stream):
            if packet.size:  # the last one is empty and only tells the decoder to drain
                yield packet
    except av.FFmpegError:
        return


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
