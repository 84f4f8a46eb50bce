"""A chat endpoint's replies, one by one: what is an answer, what is not, and what ends the asking."""

import asyncio
import json
import tracemalloc

import pytest

from data_prep.completions import read_envelope
from tests.helpers.served_model import ANSWER, serving

chat_client = pytest.importorskip("data_prep.chat_client")
FAST = chat_client.Tries(attempts=3, timeout_s=5.0, first_wait_s=0.01)
KEY = "sk-planted-key-0001"


def reply(**message):
    return json.dumps({"choices": [{"message": message}], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})


# body -> is it a completion?
BODIES = {
    "": False,
    "<html>Bad gateway</html>": False,
    "all well": False,
    "[]": False,
    '"text"': False,
    "5": False,
    "NaN": False,
    "null": False,
    "{}": False,
    "[" * 100_000: False,
    "9" * 10_000: False,
    '{"choices": [': False,
    '{"choices": []}': False,
    '{"choices": {}}': False,
    '{"choices": [{}]}': False,
    '{"choices": [5]}': False,
    '{"choices": [{"message": null}]}': False,
    '{"choices": [{"message": "hello"}]}': False,
    reply(content=5): False,
    reply(content={"a": 1}): False,
    reply(content=None): True,
    reply(role="assistant"): True,
    reply(content=""): True,
    reply(content=[{"type": "text", "text": "a"}, 5, {"text": None}, {"text": 5}]): True,
    reply(content="a"): True,
    reply(content="\ud800 a"): True,
}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:30] or "empty")
def test_what_is_a_completion(body):
    envelope = read_envelope(body)
    assert envelope.is_completion is BODIES[body]
    assert (envelope.content is None) == bool(envelope.problem)
    (envelope.content or "").encode("utf-8")
    assert min(envelope.tokens_in, envelope.tokens_out) >= 0


@pytest.mark.parametrize("usage", ["x", None, [], {"prompt_tokens": -(10**30), "completion_tokens": True}, 10**30])
def test_odd_usage_counts_nothing(usage):
    body = json.dumps({"choices": [{"message": {"content": "abcd"}}], "usage": usage})
    envelope = read_envelope(body)
    assert (envelope.content, envelope.tokens_in, envelope.estimated) == ("abcd", 0, True)
    assert envelope.tokens_out == -(-len(body) // 4)


def asked(url, tries=FAST, key=KEY):
    """The answer's text, or what is raised."""

    async def work():
        chat = chat_client.ChatClient(url, key, tries)
        try:
            body = {"model": "m", "messages": [{"role": "user", "content": "q"}]}
            return await chat.tried(lambda: chat.post(body))
        finally:
            await chat.aclose()

    return asyncio.run(work())[1].content


@pytest.mark.parametrize("bad", ["fail", "die", b"<html>", b"", b'{"choices": [{}]}', (408, {}), (529, {})], ids=str)
def test_what_fails_once_is_asked_again(bad):
    with serving() as server:
        server.behaviours = [bad]
        assert asked(server.url) == ANSWER
        assert len(server.requests) == 2


def test_retry_after_is_waited_for():
    with serving() as server:
        server.behaviours = ["busy"]
        assert asked(server.url) == ANSWER
        assert server.moments[1] - server.moments[0] >= 0.95


def failure(url, **settings):
    with pytest.raises(chat_client.RequestFailed) as caught:
        asked(url, **settings)
    assert "\n" not in str(caught.value)
    return caught.value


def test_an_error_page_with_status_200_is_no_answer():
    with serving() as server:
        server.behaviours = [b"<html>\n<h1>Bad gateway</h1>"] * 3
        error = failure(server.url)
    assert str(error) == ("NoCompletion: status 200 and no chat completion (no JSON): '<html> <h1>Bad gateway</h1>'")
    assert (error.status, error.reached, len(server.requests)) == (None, True, 3)


def test_a_server_that_trickles_ends():
    with serving() as server:
        server.behaviours = ["trickle"] * 2
        error = failure(server.url, tries=chat_client.Tries(attempts=2, timeout_s=0.5, first_wait_s=0.01))
    assert str(error) == "TimeoutError: no answer within 0.5 s"


def test_a_bomb_is_not_unpacked_nor_asked_for_again():
    """F26: 0.6 MB of gzip became 600 MB."""
    with serving() as server:
        server.behaviours = ["bomb"] * 3
        tracemalloc.start()
        error = failure(server.url)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert str(error) == f"TooLong: a body of more than {8 * 2**20} bytes"
    assert len(server.requests) == 1
    assert peak < 2**25, "half of what it would be unpacked, the server's own part included"


def test_a_packing_that_was_not_asked_for_is_refused():
    with serving() as server:
        server.behaviours = [(200, {"Content-Encoding": "br"}), (200, {"Content-Encoding": "gzip"})] * 2
        assert "a body that is no gzip" in str(failure(server.url, tries=chat_client.Tries(2, 5.0, 0.01)))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_carries_neither_key_nor_pictures(status):
    with serving() as first, serving() as other:
        to = f"{other.url}/chat/completions"
        first.behaviours = [(status, {"Location": to.replace("http://", "http://me:secret@") + "?key=1"})]
        error = failure(first.url)
        assert str(error) == f"HTTP {status}: redirects to {to}, which is not followed"
        assert error.status in chat_client.ALL_REFUSED
        assert (len(first.requests), len(other.requests)) == (1, 0)


def test_no_key_in_errors():
    """F25: a server that says the key again put it into reports."""
    with serving() as server:
        server.behaviours = ["echo"]
        error = failure(server.url)
        assert server.keys == [f"Bearer {KEY}"]
    assert error.status == 401
    assert "Bearer [hidden]" in str(error)
    assert KEY not in str(error)


def test_no_key_in_answers():
    with serving() as server:
        server.behaviours = [reply(content=f"my key is {KEY}").encode()]
        assert asked(server.url) == "my key is [hidden]"


def test_nobody_there():
    error = failure("http://127.0.0.1:9/v1")
    assert not error.reached
    assert str(error).startswith("APIConnectionError: Connection error. ")
