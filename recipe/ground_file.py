"""Every record of a track file through a backend: one JSON a line, in file order or as answers come, resumable."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.records import RecordError, read_records, resolve_video
from data_prep.stages import StageError
from data_prep.video import VideoError
from recipe.backends import Answerer, Refused, Usage
from recipe.dataset import RowBuilder
from recipe.grounding import Policy, QueryError, ground

Backend = Callable[[Usage], tuple[RowBuilder, Answerer]]
Record = dict[str, Any]
MOST_REFUSED = 20  # a server that takes none of these takes none at all


def ground_file(
    tracks: Path,
    videos: Path,
    out: Path,
    backend: Backend,
    policy: Policy,
    *,
    workers: int = 1,
    limit: int | None = None,
) -> tuple[int, list[str]]:
    """Ground every record that has a track or could have one; goes on where it stopped.

    Args:
        backend: makes a row builder and an answerer that counts its tokens on the given `Usage`; called once a worker.
        workers: requests at a time; above 1 for servers alone, since lines then come as answers do.
        limit: only the first records.

    Returns:
        Number of records, and what was not answered: "id: reason" each. Those are asked again by the next call.

    Raises:
        StageError: The backend cannot work at all: no checkpoint, a server that cannot be reached or refuses the first
            `MOST_REFUSED` requests.
    """
    partial = out.with_name(out.name + ".part")
    done = whole_lines(out if out.exists() else partial)
    records = [record for record in read_records(tracks) if record["kind"] not in ("caption", "qa")][:limit]
    left = [record for record in records if record["id"] not in done]
    failed: list[str] = []
    refused, answered = 0, len(done)
    if left:
        out.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(item, ensure_ascii=False) + "\n" for item in done.values())
            asked = _asked(left, _Asker(videos, backend, policy), workers)
            for record, found in tqdm(asked, total=len(left), unit="record", desc=out.stem):
                if isinstance(found, Exception):
                    failed.append(f"{record['id']}: {found}")
                    refused += isinstance(found, Refused)
                    if refused == MOST_REFUSED and refused == len(failed) and not answered:
                        raise StageError(f"the first {refused} requests were refused, the last one: {found}")
                    continue
                answered += 1
                stream.write(json.dumps({"id": record["id"]} | found, ensure_ascii=False) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        partial.replace(out)
    return len(records), failed


class _Asker:
    """Grounds one record; each thread has a backend of its own, since a row builder holds the video's folder."""

    def __init__(self, videos: Path, backend: Backend, policy: Policy) -> None:
        self.videos, self.backend, self.policy = videos, backend, policy
        self._own = threading.local()

    def __call__(self, record: Record) -> dict[str, Any] | Exception:
        """The line's fields, or why there is no answer."""
        if not hasattr(self._own, "parts"):
            usage = Usage()
            self._own.parts = (usage, *self.backend(usage))
        usage, builder, answerer = self._own.parts
        before = (usage.prompt_tokens, usage.completion_tokens)
        try:
            video = resolve_video(self.videos, record["video"])
            clip = (record["clip"][0], record["seconds"])
            found = ground(video, record["query"], builder, answerer, self.policy, clip=clip).to_json()
        except (VideoError, RecordError, QueryError, Refused) as error:
            return error
        spent = (usage.prompt_tokens - before[0], usage.completion_tokens - before[1])
        if any(spent):
            found["usage"] = {"prompt_tokens": spent[0], "completion_tokens": spent[1]}
        return found


def _asked(
    records: Iterable[Record], ask: Callable[[Record], dict[str, Any] | Exception], workers: int
) -> Iterator[tuple[Record, dict[str, Any] | Exception]]:
    """(record, answer) as they come; at most twice `workers` are under way, and none begins after a failure."""
    if workers == 1:
        yield from ((record, ask(record)) for record in records)
        return
    waiting = iter(records)
    pool = ThreadPoolExecutor(workers)
    under_way: dict[Future[dict[str, Any] | Exception], Record] = {}
    try:
        while True:
            while len(under_way) < 2 * workers and (record := next(waiting, None)) is not None:
                under_way[pool.submit(ask, record)] = record
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                yield under_way.pop(future), future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def whole_lines(path: Path) -> dict[str, dict[str, Any]]:
    """id -> result of the lines that were written whole."""
    found: dict[str, dict[str, Any]] = {}
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                try:
                    item = json.loads(line)
                    found[item["id"]] = item
                except (ValueError, KeyError, TypeError):
                    continue
    return found


def tokens_of(path: Path) -> Usage:
    """What all answers of a file took, those of earlier calls too."""
    total = Usage()
    for item in whole_lines(path).values():
        spent = item.get("usage")
        if isinstance(spent, dict):
            total.add(spent.get("prompt_tokens"), spent.get("completion_tokens"))
    return total
