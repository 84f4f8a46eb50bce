"""Asking an OpenAI-compatible endpoint many times: bounded, paced, retried, within a budget, through the journal."""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from data_prep.traces.journal import Journal, Question
from data_prep.traces.replies import Envelope, read_envelope

BUDGET, CEILING, JOURNAL = "budget", "error ceiling", "journal"
_REFUSED = (401, 403, 404)  # the key, the model or the address is wrong: the next record's request would be too


@dataclass(frozen=True)
class Limits:
    """How much and how fast.

    Attributes:
        concurrency: requests under way at once.
        per_minute: requests begun in a minute; None: as they come.
        attempts: tries of one request.
        timeout_s: longest wait for one answer, all of it.
        longest_wait_s: longest pause between two tries, whatever the server asks for.
        max_requests, max_tokens: of all runs with this journal; None: no limit.
        max_errors: requests that failed for good in this run, before it stops.
    """

    concurrency: int = 8
    per_minute: float | None = None
    attempts: int = 6
    timeout_s: float = 120.0
    longest_wait_s: float = 120.0
    first_wait_s: float = 1.0
    max_requests: int | None = None
    max_tokens: int | None = None
    max_errors: int = 20


class Stopped(Exception):
    """Nothing more is asked: the budget or the error ceiling is reached, or no answer can be kept."""


class RequestFailed(Exception):
    """One request brought no answer, for good; the message is one line."""


class Client:
    """Asks questions; each answer is in the journal before it is returned, or the journal has a `problem`."""

    def __init__(
        self, client: openai.AsyncOpenAI, model: str, journal: Journal, limits: Limits, options: dict[str, Any]
    ) -> None:
        self.client = client
        self.model = model
        self.journal = journal
        self.limits = limits
        self.options = options  # temperature, max_tokens
        self.stopped: tuple[str, str] | None = None  # (BUDGET, CEILING or JOURNAL, why)
        self.errors = 0
        self.answers = 0
        self._under_way = 0
        self._changed = asyncio.Condition()
        self._next_start = 0.0
        self._pace = asyncio.Lock()

    def stop(self, what: str, why: str) -> None:
        """Let nothing more go out; what is under way still comes in."""
        if self.stopped is None:
            self.stopped = (what, why)

    async def ask(self, question: Question, content: Callable[[], Awaitable[Any]]) -> Envelope:
        """The answer to a question, from the journal or the endpoint.

        Args:
            content: makes the user's turn; called only if it has to be asked.

        Raises:
            Stopped: budget or ceiling.
            RequestFailed: no answer after all tries.
        """
        body = self.journal.answer(question)
        if body is not None:
            return read_envelope(body)
        message = {"role": "user", "content": await content()}
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(_is_transient),
                stop=stop_after_attempt(self.limits.attempts),
                wait=self._wait,
                reraise=True,
            ):
                with attempt:
                    return await self._once(question, message)
        except openai.APIStatusError as error:
            self._error(f"HTTP {error.status_code}: {' '.join(str(error.message).split())[:200]}", error.status_code)
        except (openai.OpenAIError, TimeoutError) as error:
            self._error(f"{type(error).__name__}: {' '.join(str(error).split())[:200] or 'no answer in time'}", None)
        raise AssertionError("not reached")

    def _error(self, text: str, status: int | None) -> None:
        self.errors += 1
        if status in _REFUSED:
            self.stop(CEILING, f"the endpoint refuses: {text}")
        elif self.errors >= self.limits.max_errors:
            self.stop(CEILING, f"{self.errors} requests failed for good, the last one with {text}")
        raise RequestFailed(text) from None

    async def _once(self, question: Question, message: dict[str, Any]) -> Envelope:
        await self._admit()
        try:
            number = self.journal.sending(question)
            if number is None:  # nothing is asked whose answer could not be kept
                self.stop(JOURNAL, self.journal.problem)
                raise Stopped(self.journal.problem)
            call = self.client.chat.completions.with_raw_response.create(
                model=self.model,
                messages=[message],  # type: ignore[list-item]
                extra_headers={"Idempotency-Key": hashlib.sha256("\0".join(question.key()).encode()).hexdigest()},
                **self.options,
            )
            # The client's own limit is one between bytes: a server that trickles would hold it for ever.
            answer = await asyncio.wait_for(call, self.limits.timeout_s)
            body = answer.text
            envelope = read_envelope(body)
            self.journal.answered(number, question, body, envelope.tokens_in, envelope.tokens_out)
            self.answers += 1
            return envelope
        except (openai.OpenAIError, TimeoutError) as error:
            if number is not None:
                self.journal.failed(number, f"{type(error).__name__}: {error}")
            raise
        finally:
            async with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    async def _admit(self) -> None:
        """Wait for a place, for the pace and for the budget.

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
            await self._paced()
        except BaseException:
            self._under_way -= 1
            raise

    def _tokens_left(self) -> bool:
        """Whether what is under way and one more will fit; so at most one answer goes over the budget."""
        if self.limits.max_tokens is None:
            return True
        usual = self.journal.tokens / self.answers if self.answers else float(self.options.get("max_tokens", 1000))
        return self.journal.tokens + (self._under_way + 1) * usual <= self.limits.max_tokens

    async def _paced(self) -> None:
        async with self._pace:
            now = time.monotonic()
            start = max(now, self._next_start)
            self._next_start = start + (60.0 / self.limits.per_minute if self.limits.per_minute else 0.0)
            if start > now:
                await asyncio.sleep(start - now)

    def _wait(self, state: RetryCallState) -> float:
        """Exponential with jitter; at least what the server asks for, and then nobody else begins before either."""
        jittered = wait_random_exponential(multiplier=self.limits.first_wait_s, max=60.0)(state)
        error = state.outcome.exception() if state.outcome else None
        asked = retry_after_s(error)
        if asked is None:
            return min(jittered, self.limits.longest_wait_s)
        asked = min(asked, self.limits.longest_wait_s)
        self._next_start = max(self._next_start, time.monotonic() + asked)
        return min(asked + 0.1 * jittered, self.limits.longest_wait_s)


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409, 425, 429) or error.status_code >= 500
    return isinstance(error, (openai.APIConnectionError, TimeoutError))


def retry_after_s(error: BaseException | None) -> float | None:
    """Seconds that a response asks to wait: a number or a date in Retry-After; None without one.

    >>> retry_after_s(ValueError()) is None
    True
    """
    if not isinstance(error, openai.APIStatusError):
        return None
    text = error.response.headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(text)) if float(text) < float("inf") else None
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
