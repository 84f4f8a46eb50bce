"""Ask a teacher many times: bounded, within a budget, through the journal."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import openai

from data_prep.chat_client import ALL_REFUSED, ChatClient, RequestFailed
from data_prep.completions import Envelope, read_envelope
from data_prep.traces.journal import Journal, Question

BUDGET, CEILING, JOURNAL = "budget", "error ceiling", "journal"


@dataclass(frozen=True)
class Limits:
    """How much is asked; how one answer is got is `Tries`.

    Attributes:
        concurrency: requests under way at once.
        max_requests, max_tokens: of all runs with this journal; None: no limit.
        max_errors: requests that failed for good in this run, before it stops.
    """

    concurrency: int = 8
    max_requests: int | None = None
    max_tokens: int | None = None
    max_errors: int = 20


class Stopped(Exception):
    """Nothing more is asked: the budget or the error ceiling is reached, or no answer can be kept."""


class Client:
    """Asks questions; each answer is in the journal before it is returned, or the journal has a `problem`."""

    def __init__(
        self, chat: ChatClient, model: str, journal: Journal, limits: Limits, options: dict[str, Any]
    ) -> None:
        self.chat = chat
        self.model = model
        self.journal = journal
        self.limits = limits
        self.options = options  # temperature, max_tokens
        self.stopped: tuple[str, str] | None = None  # (BUDGET, CEILING or JOURNAL, why)
        self.errors = 0
        self.answers = 0
        self._under_way = 0
        self._changed = asyncio.Condition()

    def stop(self, what: str, why: str) -> None:
        """Send nothing more; answers that are under way still come in."""
        if self.stopped is None:
            self.stopped = (what, why)

    async def ask(self, question: Question, content: Callable[[], Awaitable[Any]]) -> Envelope:
        """Return the answer to a question, from the journal or the endpoint.

        A body in the journal that is no chat completion, such as an error page, counts as no answer: journals of
        earlier versions hold some.

        Args:
            content: makes the user's turn; called only if it has to be asked.

        Raises:
            Stopped: budget or ceiling.
            RequestFailed: no answer after all tries.
        """
        body = self.journal.answer(question, lambda body: read_envelope(body).is_completion)
        if body is not None:
            return read_envelope(body)
        message = {"role": "user", "content": await content()}
        try:
            return await self.chat.tried(lambda: self._once(question, message))
        except RequestFailed as error:
            self._count(error)
            raise

    def _count(self, error: RequestFailed) -> None:
        self.errors += 1
        if error.status in ALL_REFUSED:
            self.stop(CEILING, f"the endpoint refuses: {error}")
        elif self.errors >= self.limits.max_errors:
            self.stop(CEILING, f"{self.errors} requests failed for good, the last one with {error}")

    async def _once(self, question: Question, message: dict[str, Any]) -> Envelope:
        await self._admit()
        try:
            number = self.journal.sending(question)
            if number is None:  # nothing is asked whose answer could not be kept
                self.stop(JOURNAL, self.journal.problem)
                raise Stopped(self.journal.problem)
            key = hashlib.sha256("\0".join(question.key()).encode()).hexdigest()
            body, envelope = await self.chat.post(
                {"model": self.model, "messages": [message], **self.options}, {"Idempotency-Key": key}
            )
            self.journal.answered(number, question, body, envelope.tokens_in, envelope.tokens_out)
            self.answers += 1
            return envelope
        except (openai.OpenAIError, TimeoutError, asyncio.TimeoutError) as error:
            if number is not None:
                self.journal.failed(number, self.chat.reason(error))
            raise
        finally:
            async with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    async def _admit(self) -> None:
        """Wait for a free slot, for the pace and for the budget.

        Raises:
            Stopped: instead.
        """
        limits, journal = self.limits, self.journal
        async with self._changed:
            while True:
                if self.stopped is None and journal.problem:
                    self.stop(JOURNAL, journal.problem)
                if (
                    self.stopped is None
                    and limits.max_requests is not None
                    and journal.requests >= limits.max_requests
                ):
                    self.stop(BUDGET, f"{journal.requests} requests, --max_requests {limits.max_requests}")
                if self.stopped is None and limits.max_tokens is not None and journal.tokens >= limits.max_tokens:
                    self.stop(BUDGET, f"{journal.tokens} tokens, --max_tokens {limits.max_tokens}")
                if self.stopped is not None:
                    raise Stopped(self.stopped[1])
                if self._under_way < limits.concurrency and (self._under_way == 0 or self._tokens_left()):
                    break
                await self._changed.wait()
            self._under_way += 1
        try:
            await self.chat.paced()
        except BaseException:
            self._under_way -= 1
            raise

    def _tokens_left(self) -> bool:
        """Return whether the budget holds what is under way and one more, so that at most one answer exceeds it."""
        if self.limits.max_tokens is None:
            return True
        usual = self.journal.tokens / self.answers if self.answers else float(self.options.get("max_tokens", 1000))
        return self.journal.tokens + (self._under_way + 1) * usual <= self.limits.max_tokens
