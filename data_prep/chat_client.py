"""Ask an OpenAI-compatible endpoint: paced, retried, limited in time and size; what comes back is checked.

Used by every command that asks a served model. Needs `openai` and `tenacity` (the extra "serve").
"""

from __future__ import annotations

import asyncio
import email.utils
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from data_prep.completions import Envelope, read_envelope
from data_prep.redaction import public, redacted, secrets_of

# The key, the model or the address is wrong: the next request would be refused too.
ALL_REFUSED = (301, 302, 303, 307, 308, 401, 403, 404)
_KEPT_HEADERS = ("retry-after", "location", "x-request-id")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Tries:
    """How one answer is got.

    Attributes:
        attempts: tries of one request.
        timeout_s: longest wait for one answer, all of it, seconds.
        first_wait_s: scale of the growing pauses between tries, seconds.
        longest_wait_s: longest pause between two tries, whatever the server asks for, seconds.
        per_minute: requests begun in a minute; None: as they come.
        most_bytes: longest body, unpacked; the longest answers take some 100 kB.
    """

    attempts: int = 6
    timeout_s: float = 120.0
    first_wait_s: float = 1.0
    longest_wait_s: float = 120.0
    per_minute: float | None = None
    most_bytes: int = 8 * 2**20


class RequestFailed(Exception):
    """One request brought no answer, for good; the message is one line and holds no secret.

    Attributes:
        status: the HTTP status, or None where no answer came or one with status 200 was none.
        reached: whether the server could be reached at all.
    """

    def __init__(self, text: str, status: int | None = None, *, reached: bool = True) -> None:
        super().__init__(text)
        self.status = status
        self.reached = reached


class NoCompletion(openai.OpenAIError):
    """A body with status 200 that is no chat completion; the next try may bring one."""


class TooLong(openai.OpenAIError):
    """A body that is longer than allowed; it is not asked for again."""


class _Bounded(openai.DefaultAsyncHttpxClient):
    """An HTTP client that follows no redirects and keeps no more of a body than `most_bytes`, unpacked.

    A redirect would carry the pictures, which are the user's, to whatever host the first one names.
    """

    def __init__(self, most_bytes: int, **options: Any) -> None:
        super().__init__(**options | {"follow_redirects": False, "headers": {"Accept-Encoding": "gzip, deflate"}})
        self._most_bytes = most_bytes

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request; return the response with its body read."""
        request.headers["Accept-Encoding"] = "gzip, deflate"
        response = await super().send(request, **options | {"stream": True, "follow_redirects": False})
        try:
            body = await self._read(response)
        finally:
            await response.aclose()
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        return type(response)(response.status_code, headers=headers, content=body, request=request)

    async def _read(self, response: Any) -> bytes:
        packed = response.headers.get("content-encoding", "").strip().lower()
        if packed not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise NoCompletion(f"a body packed as {packed[:40]!r}, expected gzip, deflate or none")
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if packed not in ("", "identity") else None
        body = bytearray()
        try:
            async for part in response.aiter_raw():
                # One byte more than allowed tells a body that is too long; a bomb is unpacked no further.
                body += part if unpack is None else unpack.decompress(part, self._most_bytes + 1 - len(body))
                if len(body) > self._most_bytes:
                    raise TooLong(f"a body of more than {self._most_bytes} bytes")
        except zlib.error:
            raise NoCompletion(f"a body that is no {packed}") from None
        return bytes(body)


class ChatClient:
    """A chat endpoint: its tries share a pace, so that one Retry-After holds up all of them.

    Use it within one event loop; `aclose` gives its connections back.
    """

    def __init__(self, base_url: str, api_key: str, tries: Tries) -> None:
        """Take an address such as http://localhost:8000/v1, and a key ("": the server asks for none)."""
        self.tries = tries
        self._secrets = secrets_of(base_url, api_key)
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            timeout=tries.timeout_s,
            max_retries=0,
            http_client=_Bounded(tries.most_bytes, timeout=tries.timeout_s),
        )
        self._next_start = 0.0
        self._pace = asyncio.Lock()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def post(self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> tuple[str, Envelope]:
        """Ask once, and return the answer's body, free of secrets, and what it says.

        Args:
            body: `model`, `messages` and options, as `chat.completions.create` takes them.

        Raises:
            OpenAIError, TimeoutError: no answer, or none that is a chat completion; see `tried`.
        """
        call = self._client.chat.completions.with_raw_response.create(**body, extra_headers=headers)
        # The client's own limit is one between bytes: a server that trickles would hold it for ever.
        answer = await asyncio.wait_for(call, self.tries.timeout_s)
        text = redacted(answer.content.decode("utf-8", "replace"), self._secrets)
        envelope = read_envelope(text)
        if not envelope.is_completion:
            begin = " ".join(text[:200].split())[:60]
            raise NoCompletion(f"status 200 and no chat completion ({envelope.problem}): {begin!r}")
        return text, envelope

    async def tried(self, once: Callable[[], Awaitable[Found]]) -> Found:
        """Return what `once` returns, called again after a pause where it fails for a time: 429, 5xx, no answer.

        Raises:
            RequestFailed: it failed for good.
        """
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(_is_transient),
                stop=stop_after_attempt(self.tries.attempts),
                wait=self._wait,
                reraise=True,
            ):
                with attempt:
                    return await once()
        except (openai.OpenAIError, TimeoutError, asyncio.TimeoutError) as error:
            status = error.status_code if isinstance(error, openai.APIStatusError) else None
            raise RequestFailed(self.reason(error), status, reached=not _is_unreachable(error)) from None
        raise AssertionError("not reached")

    def reason(self, error: BaseException) -> str:
        """Return why a request failed: one line of at most 300 characters, without secrets."""
        if isinstance(error, openai.APIStatusError):
            if 300 <= error.status_code < 400:
                to = public(error.response.headers.get("location", ""))
                text = f"HTTP {error.status_code}: redirects to {to or 'nowhere'}, which is not followed"
                return redacted(text, self._secrets)[:300]
            message = str(error.message)
            text = f"HTTP {error.status_code}: {' '.join(redacted(message, self._secrets).split())[:200]}"
            return text.encode("utf-8", "replace").decode("utf-8")
        if isinstance(error, (openai.APITimeoutError, TimeoutError, asyncio.TimeoutError)):
            return f"TimeoutError: no answer within {self.tries.timeout_s:g} s"
        message = str(error) if error.__cause__ is None else f"{error} {error.__cause__}"
        # Redacted before it is cut: half of a key is one too many.
        return f"{type(error).__name__}: {' '.join(redacted(message, self._secrets).split())[:250]}"

    async def paced(self) -> None:
        """Wait until the next request may begin."""
        async with self._pace:
            now = time.monotonic()
            start = max(now, self._next_start)
            self._next_start = start + (60.0 / self.tries.per_minute if self.tries.per_minute else 0.0)
            if start > now:
                await asyncio.sleep(start - now)

    def _wait(self, state: RetryCallState) -> float:
        """Return the seconds to wait before the next try: an exponential pause with jitter.

        It is at least what the server asks for, and no other request begins before that either.
        """
        jittered = wait_random_exponential(multiplier=self.tries.first_wait_s, max=60.0)(state)
        error = state.outcome.exception() if state.outcome else None
        requested_s = retry_after_s(error)
        if requested_s is None:
            return min(jittered, self.tries.longest_wait_s)
        requested_s = min(requested_s, self.tries.longest_wait_s)
        self._next_start = max(self._next_start, time.monotonic() + requested_s)
        return min(requested_s + 0.1 * jittered, self.tries.longest_wait_s)


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409, 425, 429) or error.status_code >= 500
    return isinstance(error, (openai.APIConnectionError, NoCompletion, TimeoutError, asyncio.TimeoutError))


def _is_unreachable(error: BaseException) -> bool:
    """Return whether no connection could be made."""
    return isinstance(error, openai.APIConnectionError) and type(error.__cause__).__name__ == "ConnectError"


def retry_after_s(error: BaseException | None) -> float | None:
    """Return the seconds that a response asks to wait: a number or a date in Retry-After; None without one.

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
