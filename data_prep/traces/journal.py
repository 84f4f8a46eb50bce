"""What was asked and answered, on disk before anything else happens with it: kill -9 loses no paid answer.

One SQLite file. An answer's body is committed (and synced) as it came, before it is used; the same question is never
asked again. A request is written down before it is sent, so that budgets hold across runs. Questions are keyed by
record, content of the video, prompt version, model and step ("trace", "trace-2", "rewrite"). A file beside it keeps
some room, so that answers on their way still find it when the disk is full.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data_prep.stages import StageError

ROOM = 2**20  # bytes; an answer takes some tens of KiB of them, its index and log included
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    record TEXT, prompt TEXT, model TEXT, step TEXT, body TEXT NOT NULL, tokens_in INTEGER, tokens_out INTEGER,
    at TEXT DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (record, prompt, model, step)
);
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, record TEXT, prompt TEXT, model TEXT, step TEXT, outcome TEXT DEFAULT 'sent',
    at TEXT DEFAULT CURRENT_TIMESTAMP
);
"""


@dataclass(frozen=True)
class Question:
    """What an answer is kept under.

    Attributes:
        video: digest of the video's content; None where the video is gone: then an answer about any will do.
    """

    record: str
    video: str | None
    prompt: str
    model: str
    step: str

    def key(self) -> tuple[str, str, str, str]:
        """Return the columns of the primary key."""
        record = self.record if self.video is None else f"{self.record}#{self.video}"
        return record, self.prompt, self.model, self.step


class Journal:
    """The journal of one output folder, open in one process at a time.

    Attributes:
        problem: why nothing more can be kept, such as a full disk; "" as long as all is well.

    Raises:
        StageError: another process has it open, the disk is full, or the file is no journal.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.problem = ""
        self._unkept: list[tuple[int, Question, str, int, int]] = []
        self._base = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        try:
            self._base.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            self._base.executescript(_TABLES)
            self._base.execute("BEGIN EXCLUSIVE")
            self._base.execute("COMMIT")
            self._room = _room_beside(path)
        except sqlite3.OperationalError as error:
            hint = "is another process at work with the same --out?" if "locked" in str(error) else "make room there"
            raise StageError(f"{path}: {error}; {hint}") from None
        except sqlite3.DatabaseError as error:
            raise StageError(f"{path}: {error}; move that file away") from None
        self.requests = int(self._base.execute("SELECT COUNT(*) FROM requests").fetchone()[0])
        row = self._base.execute("SELECT SUM(tokens_in), SUM(tokens_out) FROM answers").fetchone()
        self.tokens_in, self.tokens_out = int(row[0] or 0), int(row[1] or 0)

    @property
    def tokens(self) -> int:
        """All tokens paid for."""
        return self.tokens_in + self.tokens_out

    def answer(self, question: Question, usable: Callable[[str], bool] = lambda body: True) -> str | None:
        """Return the latest usable body that came for a question, or None where none did.

        Answers of earlier versions do not say which video they are about: one becomes an answer about today's.
        """
        of_the_rest = "AND prompt = ? AND model = ? AND step = ?"
        if question.video is None:
            # Every key that is the record's or begins with it and "#", whose successor is "$".
            where = f"(record = ? OR (record > ? AND record < ?)) {of_the_rest} ORDER BY at DESC"
            ends = (question.record, f"{question.record}#", f"{question.record}$")
            rows = self._base.execute(f"SELECT body FROM answers WHERE {where}", (*ends, *question.key()[1:]))
            return next((str(row[0]) for row in rows if usable(str(row[0]))), None)
        select = f"SELECT body FROM answers WHERE record = ? {of_the_rest}"
        row = self._base.execute(select, question.key()).fetchone()
        if row is None or not usable(str(row[0])):
            before = (question.record, *question.key()[1:])
            row = self._base.execute(select, before).fetchone()
            if row is not None and not usable(str(row[0])):
                return None
            if row is not None:
                update = f"UPDATE OR REPLACE answers SET record = ? WHERE record = ? {of_the_rest}"
                self._try(update, (question.key()[0], *before))
        return None if row is None else str(row[0])

    def sending(self, question: Question) -> int | None:
        """Write down that a request goes out now; return its number, or None where that cannot be kept."""
        number = self._try("INSERT INTO requests (record, prompt, model, step) VALUES (?, ?, ?, ?)", question.key())
        self.requests += number is not None
        return number

    def failed(self, number: int, outcome: str) -> None:
        """Write down what became of a request that brought no answer."""
        self._try("UPDATE requests SET outcome = ? WHERE id = ?", (outcome[:200], number))

    def answered(self, number: int, question: Question, body: str, tokens_in: int, tokens_out: int) -> None:
        """Keep an answer; when this returns it survives a kill and a power cut, unless there is a `problem`.

        On a full disk it goes into the room that was kept; what finds none there either is tried again by `close`.
        """
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        answer = (number, question, body, tokens_in, tokens_out)
        try:
            self._keep(*answer)
        except sqlite3.Error as error:
            self._fails(error)
            try:
                self._keep(*answer)
            except sqlite3.Error:
                self._unkept.append(answer)

    def close(self) -> None:
        """Close the file, after a last try to keep what could not be kept."""
        lost = 0
        for answer in self._unkept:
            try:
                self._keep(*answer)
            except sqlite3.Error:
                lost += 1
        if lost:
            self.problem += f"; {lost} answers could not be kept"
        self._base.close()
        self._room.unlink(missing_ok=True)

    def _keep(self, number: int, question: Question, body: str, tokens_in: int, tokens_out: int) -> None:
        try:
            self._base.execute("BEGIN")
            self._base.execute(
                "INSERT OR REPLACE INTO answers (record, prompt, model, step, body, tokens_in, tokens_out) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*question.key(), body, tokens_in, tokens_out),
            )
            self._base.execute("UPDATE requests SET outcome = 'answered' WHERE id = ?", (number,))
            self._base.execute("COMMIT")
        except sqlite3.Error:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise

    def _try(self, statement: str, values: tuple[object, ...]) -> int | None:
        """Run a statement that no paid answer depends on; return the new row's number, or None where it failed."""
        try:
            return int(self._base.execute(statement, values).lastrowid or 0)
        except sqlite3.Error as error:
            self._fails(error)
            return None

    def _fails(self, error: sqlite3.Error) -> None:
        """Remember the first problem, and give up the room for the answers that are still on their way."""
        self.problem = self.problem or f"{self.path}: {error}; make room there, and the same command goes on"
        self._room.unlink(missing_ok=True)


def _room_beside(path: Path) -> Path:
    """Make the file that keeps room on the disk, and return its path.

    Raises:
        StageError: there is none.
    """
    room = path.with_name(path.name + ".room")
    try:
        room.write_bytes(bytes(ROOM))
    except OSError as error:
        room.unlink(missing_ok=True)
        raise StageError(f"{path}: no room for answers ({error.strerror}); make room there") from None
    return room
