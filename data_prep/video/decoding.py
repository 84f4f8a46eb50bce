"""Decode frames: only the planned ranges where the packets allow a plan, else one after the other."""

from collections.abc import Iterator

import av
from av.video.frame import VideoFrame

from data_prep.video.packets import OpenVideo

# Codecs in which a picture marked as no reference is never needed by another one. (HEVC's mark holds only inside a
# temporal layer, and VP8, VP9 and AV1 carry more than pictures from frame to frame.)
SKIPS_SAFELY = frozenset({"h264", "mpeg1video", "mpeg2video", "mpeg4"})


def decode_ranges(video: OpenVideo, ranges: list[tuple[int, int]], wanted: set[int]) -> Iterator[VideoFrame]:
    """Yield the frames with the wanted time stamps, each decoded from the keyframe before it.

    Pictures that no other needs are skipped unless they are wanted. A frame that does not come although it was
    planned is left out: the caller notices and decodes everything.

    Args:
        ranges: (first, last) packets in decode order, as `PacketIndex.plan` makes them.
        wanted: time stamps in ticks.

    Raises:
        av.FFmpegError: at a packet that does not decode.
    """
    codec = video.codec
    codec.flush_buffers()
    skips = codec.name in SKIPS_SAFELY
    remaining = iter(ranges)
    first, last = next(remaining)
    try:
        for position, packet in enumerate(video.packets()):
            if position < first:
                continue
            if skips:
                codec.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            yield from (frame for frame in codec.decode(packet) if frame.pts in wanted)
            if position < last:
                continue
            yield from (frame for frame in codec.decode(None) if frame.pts in wanted)
            codec.flush_buffers()
            following = next(remaining, None)
            if following is None:
                return
            first, last = following
    finally:
        codec.skip_frame = "DEFAULT"


def decode_all(video: OpenVideo) -> Iterator[VideoFrame]:
    """Yield every displayed frame in display order.

    A packet that does not decode ends its group of pictures, because what follows would be built on a hole; decoding
    goes on at the next keyframe.
    """
    codec = video.codec
    codec.flush_buffers()
    damaged = False
    for packet in video.packets():
        if damaged and not packet.is_keyframe:
            continue
        damaged = False
        try:
            frames = codec.decode(packet)
        except av.FFmpegError:
            codec.flush_buffers()
            damaged = True
            continue
        yield from frames
    if not damaged:
        try:
            frames = codec.decode(None)
        except av.FFmpegError:
            return
        yield from frames
