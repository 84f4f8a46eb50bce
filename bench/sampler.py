"""The frame sampler against its peers: CPU time, and which frames they give.

    python -m bench.sampler            # writes its films to a temporary folder
    python -m bench.sampler --quick    # shorter, and only 360p
    python -m bench.sampler --videos FOLDER    # real files instead, those of 5 seconds and more

Films of 60 seconds at 360p, 720p and 1080p, key frames every 15, 60 or 250 frames, with and without B-frames; one of
variable rate and one that starts late. Each way gets one frame a second at k + 0.5, scaled to 448 pixels of width.
The ways take turns in each round, and ratios are of CPU time within a round. A way is exact when every picture is the
frame on screen then; on real files, which have no numbers in their pictures, when it is the one that sequential
decoding gives (peers scale in ways of their own, so only this project's sampler is compared there). Peers that are not
installed are left out.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from bench.table import Report, parser_of
from data_prep.video.decoding import decode_ranges
from data_prep.video.packets import open_video
from data_prep.video.pictures import displayed_picture
from data_prep.video.sampling import VideoError, probe, sample_frames

BITS, SECONDS, RATE, ROUNDS = 12, 60, 30, 3
Ways = dict[str, Callable[[Path, list[float], tuple[int, int]], list[Image.Image]]]


def film(
    path: Path,
    size: tuple[int, int],
    gop: int,
    b_frames: int,
    *,
    variable: bool = False,
    late: bool = False,
    seconds: int = SECONDS,
) -> list[float]:
    """Write a film whose frames show their number as bars over moving noise; returns when each appears, seconds."""
    rng = np.random.default_rng(0)
    width, height = size
    noise = rng.integers(60, 120, (height // 8, width // 8, 3), np.uint8)
    with av.open(str(path), "w") as out:
        # Without b_strategy=0 x264 uses no B-frame on such pictures, however many it may.
        options = {"preset": "veryfast", "sc_threshold": "0", "threads": "2", "b_strategy": "0"}
        stream = out.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size, stream.max_b_frames = gop, b_frames
        tick = stream.codec_context.time_base = Fraction(1, 1000 if variable else RATE)
        stamps, stamp = [], 30 if late else 0
        for index in range(seconds * RATE):
            picture = np.kron(np.roll(noise, index * 2, axis=1), np.ones((8, 8, 1), np.uint8))
            picture = np.ascontiguousarray(picture[:height, :width])
            bar = width // BITS
            for bit in range(BITS):
                picture[: height // 4, bit * bar : (bit + 1) * bar] = 235 if index >> bit & 1 else 20
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = stamp, tick
            stamps.append(stamp)
            stamp += int(rng.integers(20, 47)) if variable else 1
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return [float((s - stamps[0]) * tick) for s in stamps]


def number_of(picture: Image.Image) -> int:
    """Return the number of the frame that a picture shows."""
    grey = np.asarray(picture.convert("L"), float)
    height, width = grey.shape
    return sum(int(grey[height // 8, int((bit + 0.5) * width / BITS)] > 127) << bit for bit in range(BITS))


def ours(path: Path, times: list[float], size: tuple[int, int]) -> list[Image.Image]:
    """Sample with this project's sampler."""
    return sample_frames(path, times, size=size)


def sequential(path: Path, times: list[float], size: tuple[int, int]) -> list[Image.Image]:
    """Sample with PyAV, decoding every frame in order."""
    pictures, waiting, last, start = [], list(times), None, None
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        for frame in container.decode(video=0):
            now = frame.pts * frame.time_base
            start = now if start is None else start
            while waiting and last is not None and float(now - start) > waiting[0]:
                pictures.append(displayed_picture(last, size))
                waiting.pop(0)
            if not waiting:
                break
            last = frame
        pictures += [displayed_picture(last, size) for _ in waiting]
    return pictures


def needed_packets(path: Path, times: list[float], size: tuple[int, int]) -> list[Image.Image]:
    """Decode only the packets that the frames need, without reading the file's index: the least possible work."""
    with open_video(path) as video:
        index = video.index
        shown = index.frame_ticks(index.shown)
        marks = [shown[0] + Fraction(t) / index.time_base for t in times]
        wanted = {max(s for s in shown if s <= mark) for mark in marks}
        ranges = index.plan(wanted)
        return [displayed_picture(frame, size) for frame in decode_ranges(video, ranges or [], wanted)]


def torchcodec_way() -> Callable[[Path, list[float], tuple[int, int]], list[Image.Image]]:
    """Sample with torchcodec, by time stamps."""
    from torchcodec.decoders import VideoDecoder

    def way(path: Path, times: list[float], size: tuple[int, int]) -> list[Image.Image]:
        decoder = VideoDecoder(str(path), seek_mode="exact", num_ffmpeg_threads=1)
        begin = decoder.metadata.begin_stream_seconds or 0
        frames = decoder.get_frames_played_at([t + begin for t in times]).data
        return [Image.fromarray(f.permute(1, 2, 0).numpy()).resize(size) for f in frames]

    return way


def decord_way() -> Callable[[Path, list[float], tuple[int, int]], list[Image.Image]]:
    """Sample with decord, by the frame numbers that its own time stamps give."""
    import decord

    def way(path: Path, times: list[float], size: tuple[int, int]) -> list[Image.Image]:
        reader = decord.VideoReader(str(path), width=size[0], height=size[1], num_threads=1)
        starts = reader.get_frame_timestamp(range(len(reader)))[:, 0]
        starts = starts - starts[0]
        numbers = [int(np.searchsorted(starts, t + 1e-6, side="right")) - 1 for t in times]
        return [Image.fromarray(frame) for frame in reader.get_batch(numbers).asnumpy()]

    return way


def opencv_way() -> Callable[[Path, list[float], tuple[int, int]], list[Image.Image]]:
    """Sample with OpenCV, seeking by milliseconds."""
    import cv2

    def way(path: Path, times: list[float], size: tuple[int, int]) -> list[Image.Image]:
        cv2.setNumThreads(1)
        capture = cv2.VideoCapture(str(path))
        pictures = []
        for t in times:
            capture.set(cv2.CAP_PROP_POS_MSEC, t * 1000)
            good, frame = capture.read()
            if good:
                pictures.append(Image.fromarray(cv2.resize(frame[:, :, ::-1], size, interpolation=cv2.INTER_AREA)))
        return pictures

    return way


def ffmpeg_way() -> Callable[[Path, list[float], tuple[int, int]], list[Image.Image]]:
    """Sample with the ffmpeg command's fps filter, one frame a second from 0.5 s on."""
    if shutil.which("ffmpeg") is None:
        raise ImportError("no ffmpeg command")

    def way(path: Path, times: list[float], size: tuple[int, int]) -> list[Image.Image]:
        filters = f"fps=1:start_time=0.5:round=down,scale={size[0]}:{size[1]}:flags=area"
        command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(path), "-vf", filters]
        raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True).stdout
        frames = np.frombuffer(raw, np.uint8)
        frames = frames[: len(frames) // (size[0] * size[1] * 3) * size[0] * size[1] * 3].reshape(
            -1, size[1], size[0], 3
        )
        return [Image.fromarray(frame) for frame in frames[: len(times)]]

    return way


def ways() -> Ways:
    """Return the samplers that are installed here."""
    installed: Ways = {"ours": ours, "sequential": sequential, "needed packets": needed_packets}
    peers = {"torchcodec": torchcodec_way, "decord": decord_way, "OpenCV": opencv_way, "ffmpeg": ffmpeg_way}
    for name, make in peers.items():
        with contextlib.suppress(ImportError, OSError, RuntimeError):
            installed[name] = make()
    return installed


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its ended children, seconds."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> None:
    """Measure CPU time against sequential decoding and other libraries, and count wrong frames."""
    parser = parser_of(__doc__)
    parser.add_argument("--videos", type=Path, help="folder of real files to measure instead")
    args = parser.parse_args()
    report = Report("sampler", args.rows)
    if args.videos:
        real_files(args.videos)
        return
    sizes = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
    kinds: list[tuple[str, dict[str, bool], int, int]] = [
        (f"GOP {gop}{', B-frames' if b else ''}", {}, gop, b) for gop in (15, 60, 250) for b in (0, 2)
    ]
    kinds += [("GOP 60, variable rate", {"variable": True}, 60, 2), ("GOP 60, late start", {"late": True}, 60, 2)]
    samplers = ways()
    seconds, rounds = SECONDS, ROUNDS
    if args.quick:
        kinds, seconds, rounds = kinds[1::3], SECONDS // 4, 1
    with tempfile.TemporaryDirectory() as folder:
        for name, size in list(sizes.items())[: 1 if args.quick else 3]:
            for kind, options, gop, b_frames in kinds:
                path = Path(folder) / "film.mp4"
                stamps = film(path, size, gop, b_frames, **options, seconds=seconds)
                measure(f"{seconds} frames of a film, {name}, {kind}", path, stamps, samplers, rounds, report)
                os.remove(path)


def real_files(folder: Path) -> None:
    """Print for each file how many times less CPU time it takes than sequential decoding, and whether frames agree."""
    size = (448, 252)
    print("| file | picture | seconds | frames / key frame | ours | needed packets | same pictures |")
    print("|---|---|---:|---:|---:|---:|---|")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with contextlib.suppress(VideoError, av.FFmpegError):  # not a video, or damaged: nothing to compare
            info = probe(path)
            times = [k + 0.5 for k in range(info.seconds)]
            if info.seconds < 5:
                continue
            spent: dict[str, list[float]] = {}
            pictures = {}
            for _ in range(ROUNDS):
                for way in (ours, sequential, needed_packets):
                    begin = cpu_seconds()
                    pictures[way.__name__] = way(path, times, size)
                    spent.setdefault(way.__name__, []).append(cpu_seconds() - begin)
            gains = [
                statistics.median(a / b for a, b in zip(spent["sequential"], spent[name], strict=True))
                for name in ("ours", "needed_packets")
            ]
            same = all(np.array_equal(a, b) for a, b in zip(pictures["ours"], pictures["sequential"], strict=True))
            shown = f"{info.width} x {info.height} | {info.seconds} | {frames_a_key(path):.0f}"
            print(
                f"| {path.name} | {shown} | {gains[0]:.2f}x | {gains[1]:.2f}x | {'yes' if same else 'no'} |",
                flush=True,
            )


def frames_a_key(path: Path) -> float:
    """Return the mean distance of key frames, frames."""
    with av.open(str(path)) as container:
        keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    return len(keys) / max(1, sum(keys))


def measure(what: str, path: Path, stamps: list[float], samplers: Ways, rounds: int, report: Report) -> None:
    """Add a row for each other way of sampling one film."""
    times = [k + 0.5 for k in range(probe(path).seconds)]
    true = [int(np.searchsorted(stamps, t + 1e-9, side="right")) - 1 for t in times]
    size = (448, 252)
    spent: dict[str, list[float]] = {name: [] for name in samplers}
    wrong = {}
    for _ in range(rounds):
        for name, way in samplers.items():
            begin = cpu_seconds()
            pictures = way(path, times, size)
            spent[name].append(cpu_seconds() - begin)
            numbers = [number_of(picture) for picture in pictures]
            wrong[name] = len(true) - sum(a == b for a, b in zip(numbers, true, strict=False))
    middle = statistics.median(spent["ours"])
    for name in samplers:
        if name == "ours":
            continue
        ratio = statistics.median(a / b for a, b in zip(spent["ours"], spent[name], strict=True))
        mark = "".join(f", {wrong[way]} wrong frames of {way}" for way in ("ours", name) if wrong[way])
        report.add(what + mark, middle, middle / ratio, "CPU s", name)


if __name__ == "__main__":
    main()
