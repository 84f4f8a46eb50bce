"""An OpenAI-compatible server for the tests, which misbehaves on demand."""

import json
import threading
import time
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = (
    '<think>first it moves</think><answer>{"1": [{"label": "square-1", "bbox_2d": [100, 200, 500, 600]}], '
    '"2": [{"label": "square-1", "bbox_2d": [100, 200, 500, 600]}, {"label": "x"}]}</answer>'
)
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


def bomb():
    """Return 64 MB of zeros, packed, without ever holding them."""
    packing = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join(packing.compress(bytes(2**20)) for _ in range(64)) + packing.flush()


class _Quiet(ThreadingHTTPServer):
    """A server that says nothing of clients which hang up."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Model(BaseHTTPRequestHandler):
    """Answers ANSWER; `server.behaviours` says otherwise, first to last.

    answer, die, fail (500), busy (429, Retry-After 1), refuse (400), echo (401 with the key in it), bomb (64 MB in
    64 kB of gzip), trickle (a byte every 0.1 s), bytes (a body as it is), or (status, headers).
    `server.answer_to`, where it is set, makes the answer of a request's body.
    """

    def do_POST(self):  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(body)
            self.server.moments.append(time.monotonic())
            self.server.keys.append(self.headers["Authorization"])
            behaviour = self.server.behaviours.pop(0) if self.server.behaviours else "answer"
        if behaviour == "die":
            self.connection.close()
            return
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "usage": USAGE}
        content = self.server.answer_to(body) if self.server.answer_to else ANSWER
        message = {"role": "assistant", "content": content}
        reply["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
        text = json.dumps(reply).encode()
        status, headers = {"fail": 500, "refuse": 400, "busy": 429, "echo": 401}.get(str(behaviour), 200), {}
        if isinstance(behaviour, bytes):
            text = behaviour
        elif isinstance(behaviour, tuple):
            status, headers = behaviour
        elif behaviour == "busy":
            headers = {"Retry-After": "1"}
        elif behaviour == "echo":
            text = json.dumps({"error": {"message": f"wrong: {self.headers['Authorization']}"}}).encode()
        elif behaviour == "bomb":
            text, headers = bomb(), {"Content-Encoding": "gzip"}
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(text))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if behaviour == "trickle":
            for number in range(len(text)):
                time.sleep(0.1)
                self.wfile.write(text[number : number + 1])
        self.wfile.write(text)

    def log_message(self, *args):
        pass


@contextmanager
def serving():
    """Yield the running server: its `requests` are the received bodies, its `url` is the base address."""
    served = _Quiet(("127.0.0.1", 0), Model)
    served.requests, served.behaviours, served.lock = [], [], threading.Lock()
    served.moments, served.keys, served.answer_to = [], [], None
    served.url = f"http://127.0.0.1:{served.server_port}/v1"
    threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield served
    finally:
        served.shutdown()
        served.server_close()
