"""A video with the answer drawn into it: box, label, query and a time bar; audio kept, frame times as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from PIL import Image, ImageColor, ImageDraw, ImageFont

from data_prep.drawing.boxes import TRACK, Layer, clock, outline, pixel_corners, shares
from data_prep.drawing.film import encode_film
from data_prep.video.pictures import displayed_picture
from data_prep.video.sampling import VideoError, probe

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
# Audio that an MP4 can carry as it is; the rest is encoded anew.
MP4_AUDIO = {"aac", "mp3", "ac3", "eac3", "alac", "opus"}
LONGEST_SIDE = 1920
READABLE_SIDE = 384  # smaller pictures are enlarged, or the caption would cover them


@dataclass(frozen=True)
class Overlay:
    """What is drawn.

    Attributes:
        query: the sentence, shown above the picture's lower edge.
        seconds: K of the video.
        layers: what is drawn, whose boxes are by frame in display order; their bars are named where there are several.
    """

    query: str
    seconds: int
    layers: Sequence[Layer]


def frame_times_of(path: str | os.PathLike[str]) -> list[float]:
    """Return when each frame appears, in display order, seconds after the first one; decodes the file once."""
    with av.open(os.fspath(path)) as container:
        stream = container.streams.video[0]
        stamps = [moment for frame in _frames(container, stream) if (moment := _moment(frame)) is not None]
    return [float(stamp - stamps[0]) for stamp in stamps]


def _frames(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Yield the decoded frames; a damaged file ends where decoding fails."""
    try:
        yield from container.decode(stream)
    except av.FFmpegError:
        return


def _moment(frame: av.VideoFrame) -> Fraction | None:
    """Return when a frame appears on its stream's clock, seconds; None where the file does not say."""
    return None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base


def write_overlay(video: Path, out: Path, overlay: Overlay) -> Path:
    """Write an H.264 MP4 of the video with the overlay; written aside, then renamed.

    Frames keep their times (variable rates too). The picture is as displayed: turned, square pixels, sides even (one
    row or column is added where needed), its longer side 384 to 1920 pixels.

    Raises:
        VideoError: nothing in the file decodes, or it has no video stream.
        OSError: `out` cannot be written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.name}.part")
    try:
        with av.open(os.fspath(video)) as source, av.open(str(aside), "w", format="mp4") as target:
            if not source.streams.video:
                raise VideoError(video, "no video stream in it")
            _copy(source, target, video, overlay)
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)
    return out


def _copy(
    source: av.container.InputContainer, target: av.container.OutputContainer, path: Path, overlay: Overlay
) -> None:
    video = source.streams.video[0]
    audio = source.streams.audio[0] if source.streams.audio else None
    info = probe(path)
    size = film_size((info.width, info.height))
    base = Fraction(1, 90_000)  # fine enough for every container's clock
    encoder = target.add_stream("libx264", options={"crf": "20", "preset": "veryfast"})
    encoder.pix_fmt = "yuv420p"
    encoder.width, encoder.height = (side + side % 2 for side in size)
    encoder.time_base = base
    encoder.codec_context.time_base = base
    sound = None
    if audio is not None:
        if audio.codec_context.name in MP4_AUDIO:
            sound = target.add_stream_from_template(audio)
        else:
            sound = target.add_stream("aac", rate=audio.codec_context.sample_rate or 48_000)
    number, start, last = 0, None, -1
    try:
        for packet in source.demux([stream for stream in (video, audio) if stream is not None]):
            if audio is not None and packet.stream.index == audio.index:
                _pass_audio(packet, target, sound)
                continue
            for frame in packet.decode():
                if not isinstance(frame, av.VideoFrame) or (moment := _moment(frame)) is None:
                    continue
                start = moment if start is None else start
                picture = draw(displayed_picture(frame, size), number, float(moment - start), overlay)
                padded = Image.new("RGB", (encoder.width, encoder.height))
                padded.paste(picture, (0, 0))
                drawn = av.VideoFrame.from_image(padded)  # type: ignore[no-untyped-call]
                stamp = max(round((moment if audio is not None else moment - start) / base), last + 1)
                drawn.pts, drawn.time_base, last = stamp, base, stamp
                target.mux(encoder.encode(drawn))
                number += 1
    except av.FFmpegError as error:
        if number == 0:
            raise VideoError(path, f"nothing in it decodes ({error})") from None
    if number == 0:
        raise VideoError(path, "no frame of it decodes")
    target.mux(encoder.encode(None))
    if sound is not None and audio is not None and audio.codec_context.name not in MP4_AUDIO:
        target.mux(sound.encode(None))


def _pass_audio(packet: Any, target: av.container.OutputContainer, sound: av.AudioStream | None) -> None:
    """Copy the audio unchanged where the container takes it; encode it anew where it does not."""
    if sound is None:
        return
    if packet.stream.codec_context.name in MP4_AUDIO:
        if packet.dts is not None:
            packet.stream = sound
            target.mux(packet)
        return
    for frame in packet.decode():
        target.mux(sound.encode(frame))


def film_size(size: tuple[int, int], most: int = LONGEST_SIDE) -> tuple[int, int]:
    """Return the displayed size, shrunk where its longer side is too long and enlarged where it is too short.

    >>> film_size((3840, 2160)), film_size((64, 48))
    ((1920, 1080), (384, 288))
    """
    factor = min(max(max(size), READABLE_SIDE), most) / max(size)
    return max(2, round(size[0] * factor)), max(2, round(size[1] * factor))


def film_of_seconds(frames: Sequence[Image.Image], layers: Sequence[Layer], query: str) -> bytes:
    """Return a short film (MP4) of one picture a second, twice as fast, with boxes, query and bars.

    Args:
        frames: one a second, in order.
        layers: what is drawn, whose boxes are by second.
    """
    size = film_size(frames[0].size, 480)
    overlay = Overlay(query, len(frames), layers)
    scaled = (frame.convert("RGB").resize(size, Image.Resampling.BICUBIC) for frame in frames)
    return encode_film((draw(frame, k, k + 0.5, overlay) for k, frame in enumerate(scaled)), 2, size=size)


def draw(picture: Image.Image, frame: int, second: float, overlay: Overlay) -> Image.Image:
    """Draw one picture with box, label, query and time bars.

    Args:
        frame: its number in display order.
        second: when it appears, seconds.
    """
    width, height = picture.size
    draw = ImageDraw.Draw(picture)
    line = max(2, min(width, height) // 150)
    letters = max(10, height // 30)
    font = ImageFont.load_default(letters)
    here = [(layer, box) for layer in overlay.layers if (box := layer.boxes.get(frame)) is not None]
    outline(draw, [(layer.look, box) for layer, box in here], (width, height), line)
    for layer, box in here:
        if layer.label:
            left, top, *_ = pixel_corners(box, (width, height))
            name = _fit(draw, layer.label, font, width - 8)
            left = max(2, min(left, width - 4 - round(draw.textlength(name, font=font))))
            _text(draw, name, (left, max(2, top - letters - 3 * line)), font, layer.look.colour)
    bar = max(4, height // 60)
    low = height - len(overlay.layers) * (bar + 1)
    for index, layer in enumerate(overlay.layers):
        top = low + index * (bar + 1)
        draw.rectangle([0, top - 1, width - 1, top + bar], fill="#303030")
        draw.rectangle([0, top, width - 1, top + bar - 1], fill=TRACK)
        for begin, end in shares(layer.spans, 0, overlay.seconds):
            left, right = round(begin * width), round(end * width)
            draw.rectangle([left, top, max(right - 1, left), top + bar - 1], fill=layer.look.colour)
    now = min(round(second / overlay.seconds * width), width - 1)
    draw.line([(now - 1, low), (now - 1, height - 1)], fill="black", width=3)
    draw.line([(now, low), (now, height - 1)], fill="white", width=1)
    caption = f"{clock(second)}  {overlay.query}"
    names = _names(draw, overlay.layers, font, (width - 4, low - letters - 7)) if len(overlay.layers) > 1 else width
    _text(draw, _fit(draw, caption, font, names - 12), (4, low - letters - 7), font)
    return picture


def _names(draw: ImageDraw.ImageDraw, layers: Sequence[Layer], font: Font, corner: tuple[int, int]) -> int:
    """Write the layers' names from the right, each on its own colour; return where they begin, pixels from the left.

    Args:
        corner: where the last one ends, and where they begin from above.
    """
    left, top = corner
    for layer in reversed(layers):
        left -= round(draw.textlength(layer.look.name, font=font)) + 2
        _text(draw, layer.look.name, (left, top), font, layer.look.colour)
        left -= 6
    return left


def _text(draw: ImageDraw.ImageDraw, text: str, position: tuple[int, int], font: Font, back: str = "#000000") -> None:
    """Draw text on a filled box, white or black, so that it is readable on any picture."""
    left, top, right, bottom = draw.textbbox(position, text, font=font)
    draw.rectangle([left - 2, top - 2, right + 2, bottom + 2], fill=back)
    red, green, blue = ImageColor.getrgb(back)[:3]
    draw.text(position, text, fill="black" if 3 * red + 6 * green + blue > 1400 else "white", font=font)


def _fit(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> str:
    """Return the text, cut with an ellipsis where it is wider than `width` pixels."""
    text = " ".join(text.split())
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "…", font=font) > width:
        text = text[:-1]
    return text + "…"
