"""Asking a server from plain functions: one client an endpoint, on one thread that all callers share.

So that a server which asks for a pause is left alone by all of them.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import lru_cache
from typing import Any

from data_prep.chat_client import ALL_REFUSED, ChatClient, RequestFailed, Tries
from data_prep.completions import Envelope
from data_prep.errors import StageError
from data_prep.redaction import public
from recipe.inference.server import Refused, Server, Unanswered

TRIES = Tries(attempts=6, first_wait_s=0.5)


def ask(server: Server, body: dict[str, Any]) -> Envelope:
    """Return a server's answer, after as many tries as `TRIES` says; several threads may ask at once.

    Args:
        body: `model`, `messages` and options, as the `openai` client takes them.

    Raises:
        Refused: This request will never do; `Unanswered`: it got no answer now.
        StageError: No request would: no server there, a wrong key, model or address.
    """
    future = asyncio.run_coroutine_threadsafe(_ask(server, body), _loop())
    try:
        return future.result()
    except RequestFailed as error:
        raise _kind(error)(f"{public(server.base_url)}: {error}") from None
    except BaseException:  # Ctrl-C: what is under way would go on without anybody waiting for it
        future.cancel()
        raise


def _kind(error: RequestFailed) -> type[StageError]:
    if not error.reached or error.status in ALL_REFUSED:
        return StageError
    return Refused if error.status in (400, 413, 422) else Unanswered


async def _ask(server: Server, body: dict[str, Any]) -> Envelope:
    chat = _client(server.base_url, server.api_key, replace(TRIES, timeout_s=server.timeout_s))

    async def once() -> Envelope:
        await chat.paced()
        return (await chat.post(body))[1]

    return await chat.tried(once)


@lru_cache
def _client(base_url: str, api_key: str, tries: Tries) -> ChatClient:
    """Return the client of an endpoint; called on the loop's thread only."""
    return ChatClient(base_url, api_key, tries)


@lru_cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="served model", daemon=True).start()
    return loop
