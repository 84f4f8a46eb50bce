"""What was asked and answered, on disk before anything else happens with it: kill -9 loses no paid answer.

One SQLite file. An answer's body is committed (and synced) as it came, before it is used; the same question is never
asked again. A request is written down before it is sent, so that budgets hold across runs. Questions are keyed by
record, prompt version, model and step ("trace", "trace-2", "rewrite").
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from data_prep.stages import StageError

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
    """What an answer is kept under."""

    record: str
    prompt: str
    model: str
    step: str

    def key(self) -> tuple[str, str, str, str]:
        """The columns of the primary key."""
        return self.record, self.prompt, self.model, self.step


class Journal:
    """The journal of one output folder, open in one process at a time.

    Raises:
        StageError: another process has it open, or the file is no journal.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        try:
            self._base.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=FULL")
            self._base.executescript(_TABLES)
            self._base.execute("BEGIN EXCLUSIVE")
            self._base.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise StageError(f"{path}: {error}; is another process at work with the same --out?") from None
        except sqlite3.DatabaseError as error:
            raise StageError(f"{path}: {error}; move that file away") from None
        self.requests = int(self._base.execute("SELECT COUNT(*) FROM requests").fetchone()[0])
        row = self._base.execute("SELECT SUM(tokens_in), SUM(tokens_out) FROM answers").fetchone()
        self.tokens_in, self.tokens_out = int(row[0] or 0), int(row[1] or 0)

    @property
    def tokens(self) -> int:
        """All tokens paid for."""
        return self.tokens_in + self.tokens_out

    def answer(self, question: Question) -> str | None:
        """The body that came for a question, or None where none did."""
        row = self._base.execute(
            "SELECT body FROM answers WHERE record = ? AND prompt = ? AND model = ? AND step = ?", question.key()
        ).fetchone()
        return None if row is None else str(row[0])

    def sending(self, question: Question) -> int:
        """Write down that a request goes out now; returns its number."""
        row = self._base.execute(
            "INSERT INTO requests (record, prompt, model, step) VALUES (?, ?, ?, ?)", question.key()
        )
        self.requests += 1
        return int(row.lastrowid or 0)

    def failed(self, number: int, outcome: str) -> None:
        """What became of a request that brought no answer."""
        self._base.execute("UPDATE requests SET outcome = ? WHERE id = ?", (outcome[:200], number))

    def answered(self, number: int, question: Question, body: str, tokens_in: int, tokens_out: int) -> None:
        """Keep an answer; when this returns it survives a kill and a power cut."""
        self._base.execute("BEGIN")
        self._base.execute(
            "INSERT OR REPLACE INTO answers (record, prompt, model, step, body, tokens_in, tokens_out) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*question.key(), body, tokens_in, tokens_out),
        )
        self._base.execute("UPDATE requests SET outcome = 'answered' WHERE id = ?", (number,))
        self._base.execute("COMMIT")
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out

    def close(self) -> None:
        """Close the file."""
        self._base.close()
