"""From a record to its outcome with a served teacher: one request, and a second one where the first cannot be used."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from data_prep.chat_client import RequestFailed
from data_prep.identity import file_digest, stamp_of
from data_prep.records import Record, resolve_video
from data_prep.traces.client import Client
from data_prep.traces.frames import data_uri, frames_of
from data_prep.traces.journal import Question
from data_prep.traces.judge import problems_of
from data_prep.traces.outcome import ACCEPTED, FAILED, REJECTED, REWRITTEN, Outcome
from data_prep.traces.prompts import Prompts, record_key
from data_prep.traces.replies import read_reply
from data_prep.validation import RecordError
from data_prep.video.sampling import VideoError


@dataclass(frozen=True)
class Asker:
    """How a record is asked.

    Attributes:
        side, most: longer side of a frame in pixels; most frames of a clip.
        rewrite: whether a second request may mend a trace.
    """

    client: Client
    prompts: Prompts
    video_root: Path
    side: int
    most: int
    tolerance_s: float
    rewrite: bool = True

    async def outcome(self, record: Record) -> Outcome:
        """Ask and judge.

        Raises:
            Stopped: budget or error ceiling.
        """
        try:
            return await self._asked(record)
        except RequestFailed as error:
            return Outcome(FAILED, reason=f"request: {error}")
        except (RecordError, VideoError, OSError) as error:
            return Outcome(REJECTED, reason=f"video: {' '.join(str(error).split())[:200]}")

    async def _asked(self, record: Record) -> Outcome:
        async def content() -> list[dict[str, Any]]:
            return await asyncio.to_thread(self._content, record)

        video = await asyncio.to_thread(content_of, self.video_root, record["video"])
        trace, claimed, unread = "", None, ""
        for step in ("trace", "trace-2"):
            envelope = await self.client.ask(self._question(record, video, step), content)
            if envelope.content is not None:
                trace, claimed = read_reply(envelope.content)
            unread = envelope.problem
            if trace:
                break
        if not trace:
            return Outcome(REJECTED, reason=f"unreadable: {unread or 'no trace in the answer'}", claimed=claimed)
        problems = problems_of(trace, record, claimed, self.tolerance_s)
        if not problems:
            return Outcome(ACCEPTED, trace, claimed=claimed)
        first_reason = _reason(problems)
        if not self.rewrite:
            return Outcome(REJECTED, trace, first_reason, claimed)
        listed = [": ".join(problem) for problem in problems[:8]]

        async def again() -> str:
            return self.prompts.second_request(record, trace, listed)

        envelope = await self.client.ask(self._question(record, video, "rewrite"), again)
        if envelope.content is None:
            return Outcome(REJECTED, trace, f"{first_reason}; rewriting: {envelope.problem}", claimed)
        second, _ = read_reply(envelope.content)
        problems = problems_of(second, record, None, self.tolerance_s)
        if problems:
            return Outcome(REJECTED, second or trace, _reason(problems), claimed)
        return Outcome(REWRITTEN, second, first_reason, claimed)

    def _question(self, record: Record, video: str | None, step: str) -> Question:
        return Question(record_key(record), video, self.prompts.of(record)[2], self.client.model, step)

    def _content(self, record: Record) -> list[dict[str, Any]]:
        """Return each frame's second and picture, followed by the request."""
        parts: list[dict[str, Any]] = []
        for second, picture in frames_of(record, self.video_root, side=self.side, most=self.most):
            parts.append({"type": "text", "text": f"second {second}"})
            parts.append({"type": "image_url", "image_url": {"url": data_uri(picture)}})
        parts.append({"type": "text", "text": self.prompts.first_request(record)})
        return parts


def content_of(video_root: Path, video: str) -> str | None:
    """Return what the teacher is shown of: a digest of the video's content, 16 hex digits; None where it is gone."""
    try:
        path = resolve_video(video_root, video)
        return _digest(stamp_of(path), path) if path.is_file() else None
    except (RecordError, OSError):
        return None


@lru_cache(maxsize=4096)
def _digest(stamp: str, path: Path) -> str:
    """Return the digest; many records of one video read it once, as long as its size and time of change stay."""
    return file_digest(path)[:16]


def _reason(problems: list[tuple[str, str]]) -> str:
    return ": ".join(problems[0])
