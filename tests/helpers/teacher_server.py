"""A chat-completions endpoint on loopback that misbehaves as it is told, and writes down what it was asked."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GOOD = "First when: the shape is seen from about second {first} to second {last}. Then where: its colour tells."
PLACEHOLDER = '\n{{"target": "a shape", "interval": [{first}, {last}], "trajectory": []}}'


class Teacher:
    """The server. `script` maps a word of the query to a function of (kind, number, first, last).

    kind is "trace" or "rewrite", number counts such requests for the query. It returns a content (str), bytes (a body
    as it is), or (status, headers), where the body says the header "echo". `delay_s` comes before each answer.
    """

    def __init__(self, script=None, delay_s=0.0):
        self.script = script or {}
        self.delay_s = delay_s
        self.lock = threading.Lock()
        self.asked = []  # (monotonic time, query, "trace" or "rewrite", request body)
        self.answered = Counter()  # (query, kind) -> answers with status 200 that were sent whole
        self.under_way = self.most_under_way = 0
        self.hold = threading.Event()  # set: answers go out
        self.hold.set()
        self.hold_after = None  # answers sent before `hold` is cleared by the server itself
        teacher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                teacher.handle(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    def handle(self, request):
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        content = body["messages"][0]["content"]
        text = content if isinstance(content, str) else content[-1]["text"]
        query = json.loads(re.search(r'^sentence: (".*")$', text, re.MULTILINE).group(1))
        kind = "rewrite" if isinstance(content, str) else "trace"
        stated = re.search(r"seconds(?: from)? (\d+) to (\d+)", text) or re.search(r"interval\": \[(\d+), (\d+)", text)
        first, last = map(int, stated.groups()) if stated else (0, 0)  # without a target no second is stated
        with self.lock:
            self.asked.append((time.monotonic(), query, kind, body))
            number = sum(1 for _, other, step, _ in self.asked if (other, step) == (query, kind)) - 1
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self.hold.wait()
            time.sleep(self.delay_s)
            self.answer(request, query, kind, number, first, last)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with self.lock:
                self.under_way -= 1

    def answer(self, request, query, kind, number, first, last):
        response = (GOOD + PLACEHOLDER).format(first=first, last=last)
        for word, act in self.script.items():
            if word in query:
                response = act(kind, number, first, last)
        status, headers = (200, {}) if isinstance(response, (str, bytes)) else response
        if isinstance(response, bytes):
            payload = response
        elif isinstance(response, str):
            choice = {"index": 0, "message": {"role": "assistant", "content": response}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}
            reply = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
            payload = json.dumps(reply | {"choices": [choice], "usage": usage}).encode()
        else:
            message = headers.get("echo", f"told to say {status}")
            payload = json.dumps({"error": {"message": message}}).encode()
        with self.lock:
            if status == 200:
                self.answered[query, kind] += 1
                if self.hold_after is not None and sum(self.answered.values()) >= self.hold_after:
                    self.hold.clear()
        request.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(payload)),
            **headers,
        }.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(payload)
