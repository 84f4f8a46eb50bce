"""Every record of a track file through a backend: one JSON a line, in the order of the records, resumable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.errors import StageError
from data_prep.records import Record, RecordError, read_questions, resolve_video
from data_prep.video.looks import fault_of, look_at
from data_prep.video.sampling import VideoError
from recipe.inference.answer_key import AnswerKey, video_stamp
from recipe.inference.answers_file import AnswersFile, read_lines
from recipe.inference.backends import Answerer, Usage
from recipe.inference.engines import EngineEnded
from recipe.inference.grounding import Policy, QueryError, check_video, ground
from recipe.inference.server import Refused, Unanswered
from recipe.inputs.dataset import RowBuilder

Backend = Callable[[Usage], tuple[RowBuilder, Answerer]]
Result = dict[str, Any] | Exception  # the fields of a line, or why there are none
Engines = Callable[[list[Record]], Iterator[tuple[int, Result]]]
MOST_REFUSED = 20  # a server that answers none of these, one after the other, answers none at all


def ground_file(
    tracks: Path,
    videos: Path,
    out: Path,
    backend: Backend | None,
    policy: Policy,
    *,
    key: AnswerKey,
    workers: int = 1,
    limit: int | None = None,
    engines: Engines | None = None,
) -> tuple[int, list[str]]:
    """Ground every record that could have a track, and lines without truth, resuming where an earlier call stopped.

    Args:
        backend: makes a row builder and an answerer that counts its tokens on the given `Usage`; called once a worker.
            None with `engines`.
        key: what the answers depend on; `out` holds no others.
        workers: requests at a time; above 1 for servers only.
        limit: only the first records.
        engines: grounds records in other processes and gives (place among them, result) of each as results come.

    Returns:
        Number of records, and what was not answered: "id: reason" each. Those are asked again by the next call.

    Raises:
        StageError: `out` was made under another key; or the backend cannot work at all: no checkpoint, a server that
            cannot be reached, or gives no answer to `MOST_REFUSED` requests in a row or to all that there are; an
            engine that died.
        InUse: Another process is at work on `out`.
    """
    records = [record for record in read_questions(tracks) if record["kind"] not in ("caption", "qa")][:limit]
    stamps = {record["id"]: _stamp(videos, record) for record in records}
    failed: list[str] = []
    with AnswersFile(out, key) as file:
        file.outdated(stamps)
        left = [record for record in records if record["id"] not in file.known]
        faults = _faults(left, videos)  # before a model is loaded
        failed += [f"{name}: {reason}" for name, reason in faults.items()]
        left = [record for record in left if record["id"] not in faults]
        if left:
            if engines is not None:
                results = _through(engines, left, videos)
            else:
                assert backend is not None
                results = _asked(left, _Asker(videos, backend, policy), workers)
            refused = 0  # in a row
            try:
                for record, result in tqdm(results, total=len(left), unit="record", desc=out.stem):
                    if isinstance(result, Exception):
                        failed.append(f"{record['id']}: {result}")
                        # Once there are answers, requests that will never do say nothing about the server.
                        refused += isinstance(result, Unanswered if file.known else Refused)
                        if refused == MOST_REFUSED:
                            raise StageError(_all_refused(refused, result, bool(file.known)))
                        continue
                    refused = 0
                    file.add([{"id": record["id"]} | result | {"video_stamp": stamps[record["id"]]}])
            except EngineEnded as error:
                raise StageError(f"{error}; {file.kept(len(records))}") from None
            if refused and refused == len(failed) - len(faults) == len(left) and not file.known:
                raise StageError(_all_refused(refused, failed[-1], False))
        file.finish(record["id"] for record in records)
    return len(records), failed


def _faults(records: Iterable[Record], videos: Path) -> dict[str, str]:
    """Look at the videos that are there; return id -> why a record's video is of no use."""
    paths: dict[str, Path] = {}
    listed = list(records)
    for record in listed:
        try:
            path = resolve_video(videos, record["video"])
        except RecordError:
            continue  # asking says it
        if path.exists():
            paths[record["id"]] = path
    seen = look_at(paths.values())
    faults = {record["id"]: fault_of(seen[paths[record["id"]]], record) for record in listed if record["id"] in paths}
    return {name: f"{fault[0]}: {fault[1]}" for name, fault in faults.items() if fault is not None}


def _all_refused(count: int, last: Exception | str, some: bool) -> str:
    kept = "; the same command goes on from the answers that came" if some else ""
    return f"{count} requests in a row got no answer, the last one: {last}{kept}"


def _stamp(videos: Path, record: Record) -> str | None:
    """Return the stamp of a record's video; None where it is missing or may not be opened, as asking will say."""
    try:
        return video_stamp(resolve_video(videos, record["video"]))
    except RecordError:
        return None


class _Asker:
    """Grounds one record; each thread has a backend of its own, which counts the tokens of the record under way."""

    def __init__(self, videos: Path, backend: Backend, policy: Policy) -> None:
        self.videos, self.backend, self.policy = videos, backend, policy
        self._own = threading.local()

    def __call__(self, record: Record) -> Result:
        """Return the line's fields, or the exception that says why there is no answer."""
        if not hasattr(self._own, "parts"):
            try:
                check_video(resolve_video(self.videos, record["video"]), self.policy, _part(record))
            except (VideoError, RecordError) as error:  # a mistyped folder must not cost a model load
                return error
            usage = Usage()
            self._own.parts = (usage, *self.backend(usage))
        usage, builder, answerer = self._own.parts
        before = (usage.prompt_tokens, usage.completion_tokens)
        answer = ask_record(record, self.videos, builder, answerer, self.policy)
        spent = (usage.prompt_tokens - before[0], usage.completion_tokens - before[1])
        if any(spent) and isinstance(answer, dict):
            answer["usage"] = {"prompt_tokens": spent[0], "completion_tokens": spent[1]}
        return answer


def ask_record(record: Record, videos: Path, builder: RowBuilder, answerer: Answerer, policy: Policy) -> Result:
    """Ground a record's sentence; return the line's fields, or the exception that says why there is no answer."""
    try:
        video = resolve_video(videos, record["video"])
        return ground(video, record["query"], builder, answerer, policy, clip=_part(record)).to_json()
    except (VideoError, RecordError, QueryError, Refused) as error:
        return error


def _part(record: Record) -> tuple[float, int] | None:
    """Return (start, number of seconds) of a record's clip in its video; None: it is the whole file."""
    return (record["clip"][0], record["seconds"]) if record["clip"] else None


def _through(engines: Engines, records: list[Record], videos: Path) -> Iterator[tuple[Record, Result]]:
    """Yield (record, result) from engines; a video that is missing costs no model load."""
    there: list[Record] = []
    for record in records:
        try:
            path = resolve_video(videos, record["video"])
            if not path.is_file():
                raise VideoError(path, "no such file")
            there.append(record)
        except (VideoError, RecordError) as error:
            yield record, error
    for place, result in engines(there) if there else ():
        yield there[place], result


def _asked(
    records: Iterable[Record], ask: Callable[[Record], Result], workers: int
) -> Iterator[tuple[Record, Result]]:
    """Yield (record, answer) in order of completion; keep at most twice `workers` under way, none after a failure."""
    if workers == 1:
        yield from ((record, ask(record)) for record in records)
        return
    waiting = iter(records)
    pool = ThreadPoolExecutor(workers)
    under_way: dict[Future[Result], Record] = {}
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


def tokens_of(path: Path) -> Usage:
    """Return what all answers of a file took, those of earlier calls too."""
    total = Usage()
    for item in read_lines(path).values():
        spent = item.get("usage")
        if isinstance(spent, dict):
            total.add(spent.get("prompt_tokens"), spent.get("completion_tokens"))
    return total
