"""One video, one sentence: when does it happen, and where is the target, second by second (section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from data_prep.events import runs_of
from data_prep.records import Record
from data_prep.stages import StageError
from data_prep.video.sampling import VideoError, VideoInfo, probe
from recipe.inference.backends import Answerer
from recipe.inference.reading import read_answer
from recipe.inference.smoothing import MOST_FILLED, smooth
from recipe.inference.windows import Window, join, window_that_fits, windows_of
from recipe.inputs.dataset import RowBuilder
from recipe.inputs.families import fit_frame
from recipe.inputs.video_units import IN_A_GRID
from stvg_rewards import Answer, Box, Span

LONGEST_QUERY = 2000  # characters
SHORTEST_SIDE = 8  # pixels


class QueryError(StageError):
    """A sentence that cannot be asked."""


@dataclass(frozen=True)
class Policy:
    """How a video is cut and an answer finished.

    Attributes:
        window_s: longest part that the model sees at once, seconds; None: what its context holds.
        overlap_s: what neighbouring parts share, seconds; at most half a window where the context decides.
        smooth: apply inter-second smoothing to the boxes (section 3.7).
        most_filled: longest gap inside the span that smoothing fills, seconds.
        most_seconds: a longer video is refused.
    """

    window_s: int | None = None
    overlap_s: int = 20
    smooth: bool = True
    most_filled: int = MOST_FILLED
    most_seconds: int = 6 * 3600

    def settings(self) -> dict[str, Any]:
        """Return what of it changes an answer, by the names of the command line's options."""
        smooth = "on" if self.smooth else "off"
        return {"window": self.window_s, "overlap": self.overlap_s, "smooth": smooth, "most_filled": self.most_filled}


@dataclass
class Grounding:
    """What was found.

    Attributes:
        span: (first, last) second, inclusive, or None.
        events: (first, last) second of each event, inclusive: the seconds that the answer lists, cut where it leaves
            out more of them than smoothing may fill. So no box is ever filled in between two events.
        empty: the model's answer was read and lists nothing: the video shows no such event.
        boxes: second -> (x_min, y_min, x_max, y_max), normalised to [0, 1] of the displayed picture.
        answers: raw texts, one a window.
        reasoning: what stands before the answers.
        discarded: states that were discarded.
        windows: [first, end) of each window; joined: the indices of those that the answer is made of.
    """

    query: str
    label: str
    seconds: int
    span: Span | None
    boxes: dict[int, Box]
    answers: list[str]
    reasoning: list[str]
    discarded: int
    windows: list[tuple[int, int]] = field(default_factory=list)
    joined: list[int] = field(default_factory=list)
    events: list[Span] = field(default_factory=list)
    empty: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the fields of a result file; see docs/inference.md."""
        return {
            "query": self.query,
            "label": self.label,
            "seconds": self.seconds,
            "span": list(self.span) if self.span else None,
            "spans": [[first, last + 1] for first, last in self.events],
            "no_target": self.empty,
            "track": [{"second": k, "box": [round(v, 6) for v in box]} for k, box in sorted(self.boxes.items())],
            "answer": self.answers[0] if len(self.answers) == 1 else self.answers,
            "reasoning": self.reasoning[0] if len(self.reasoning) == 1 else self.reasoning,
            "discarded_states": self.discarded,
            "windows": [list(window) for window in self.windows],
            "joined_windows": self.joined,
        }


def check_query(query: str) -> str:
    """Return the sentence without leading and trailing blanks.

    Raises:
        QueryError: nothing is left of it, or it is no sentence but a document.
    """
    text = query.strip()
    if not text:
        raise QueryError("the query is empty: say what to look for, such as 'the person in red picks up the bag'")
    if len(text) > LONGEST_QUERY:
        raise QueryError(f"the query has {len(text)} characters, expected one sentence of at most {LONGEST_QUERY}")
    return text


def record_of(video: Path, info: VideoInfo, query: str, start_s: float, seconds: int) -> Record:
    """Return the record of one window of a video, as the row builder takes it; its clock starts at the window.

    It names the video for people only: the row builder is given the file itself.
    """
    record = {
        "id": video.name,
        "kind": "declarative",
        "query": query,
        "video": video.name,
        "clip": [start_s, start_s + seconds],
        "seconds": seconds,
        "width": info.width,
        "height": info.height,
    }
    return cast(Record, record)  # of the fields that a row is made of, and no others


def check_video(video: Path, policy: Policy, clip: tuple[float, int] | None = None) -> VideoInfo:
    """Return what a video's file says of it, if it can be asked about; needs no model.

    Args:
        clip: (start in seconds, number of seconds) of the part that is asked about; None: the whole file.

    Raises:
        StageError: A picture or a video beyond all use.
        VideoError: The file is no video or nothing in it decodes.
    """
    real = video.resolve()
    if not real.is_file():
        raise VideoError(video, "no such file")
    info = probe(real)
    if min(info.width, info.height) < SHORTEST_SIDE:
        raise StageError(f"{video}: pictures of {info.width} x {info.height} pixels are too small to look at")
    seconds = clip[1] if clip else info.seconds
    if seconds > policy.most_seconds:
        raise StageError(
            f"{video}: {seconds} s, at most {policy.most_seconds} s are taken; cut it or raise --most_seconds"
        )
    return info


def ground(
    video: Path,
    query: str,
    builder: RowBuilder,
    answerer: Answerer,
    policy: Policy | None = None,
    *,
    clip: tuple[float, int] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Grounding:
    """Ground a sentence in a video.

    Args:
        video: the file; only it is opened.
        builder, answerer: from `recipe.inference.backends`; threads may share the builder.
        clip: (start in seconds, number of seconds) of the part that is asked about, whose clock the answer has; None:
            the whole file.
        progress: called with (windows done, windows in all).

    Raises:
        StageError: an empty or endless query, a picture or a video beyond all use.
        VideoError: the file is no video or nothing in it decodes.
    """
    policy = policy or Policy()
    query = check_query(query)
    info = check_video(video, policy, clip)
    real = video.resolve()
    start_s, seconds = clip or (0.0, info.seconds)
    windows, texts, answers = [], [], []
    parts = parts_of(seconds, builder, info, policy)
    for first, end in parts:
        whole = start_s == 0 and (first, end) == (0, info.seconds)
        record = record_of(real, info, query, start_s + first, end - first)
        row = builder.row(record, video=real, file=real if builder.files and whole else None)
        (text,) = answerer([row])
        answer = read_answer(text, seconds=end - first, order=builder.box_format.order, scale=row["box_scale"])
        windows.append(on_the_videos_clock(answer, first, end))
        texts.append(text)
        answers.append(answer)
        progress(len(windows), len(parts))
    span, boxes, joined = join(windows)
    if policy.smooth and span is not None:
        boxes = smooth(boxes, span, most_filled=policy.most_filled)
    return Grounding(
        query=query,
        label=answers[joined[0]].track.label if joined else "",
        seconds=seconds,
        span=span,
        boxes=boxes,
        answers=texts,
        reasoning=[reasoning_of(text) for text in texts],
        discarded=sum(answer.discarded for answer in answers),
        windows=parts,
        joined=joined,
        events=runs_of((second for index in joined for second in windows[index].listed), policy.most_filled),
        empty=all(answer.parsed and answer.span is None for answer in answers),
    )


def parts_of(seconds: int, builder: RowBuilder, info: VideoInfo, policy: Policy) -> list[tuple[int, int]]:
    """Return the parts of the video that the model is asked about in turn, each [first, end) in seconds."""
    if policy.window_s is not None:
        return windows_of(seconds, policy.window_s, policy.overlap_s)
    clips = builder.clips
    width, height = fit_frame(info.width, info.height, grid=clips.grid, max_pixels=clips.max_pixels)
    # Under "dynamic" short parts would be seen at higher rates; a part that fits at one a second fits with its budget.
    rate = (1.0 if isinstance(clips.rate, str) else clips.rate) / IN_A_GRID[clips.units]
    window = window_that_fits(builder.context, width * height // clips.grid**2, rate)
    return windows_of(seconds, window, min(policy.overlap_s, window // 2))


def on_the_videos_clock(answer: Answer, first: int, end: int) -> Window:
    """Move a window's answer to the video's clock by adding the window's first second."""
    if answer.span is None:
        return Window(first, end)
    span = (answer.span[0] + first, answer.span[1] + first)
    boxes = {second + first: box for second, box in answer.track.boxes.items()}
    return Window(first, end, span, boxes, frozenset(boxes) | {second + first for second in answer.unboxed})


def reasoning_of(text: str) -> str:
    """Return what stands before the first closing reasoning tag, without the opening one; "" where there is none.

    >>> reasoning_of("<think>He jumps.</think>{}"), reasoning_of("He jumps. {}")
    ('He jumps.', '')
    """
    end = text.find("</think>")
    return text[:end].lstrip().removeprefix("<think>").strip() if end >= 0 else ""
