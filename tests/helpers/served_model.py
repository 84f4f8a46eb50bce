"""An OpenAI-compatible server for the tests, which misbehaves on demand."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = (
    '<think>first it moves</think><answer>{"1": [{"label": "square-1", "bbox_2d": [100, 200, 500, 600]}], '
    '"2": [{"label": "square-1", "bbox_2d": [100, 200, 500, 600]}, {"label": "x"}]}</answer>'
)
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


class Model(BaseHTTPRequestHandler):
    """Answers ANSWER; `server.behaviours` says otherwise, first to last: answer, die, fail (500), refuse (400)."""

    def do_POST(self):  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(body)
            behaviour = self.server.behaviours.pop(0) if self.server.behaviours else "answer"
        if behaviour == "die":
            self.connection.close()
            return
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "usage": USAGE}
        message = {"role": "assistant", "content": ANSWER}
        reply["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
        text = json.dumps(reply).encode()
        self.send_response({"fail": 500, "refuse": 400}.get(behaviour, 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


@contextmanager
def serving():
    """The server: `requests` are the bodies that came; `url` is its base."""
    served = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    served.requests, served.behaviours, served.lock = [], [], threading.Lock()
    served.url = f"http://127.0.0.1:{served.server_port}/v1"
    threading.Thread(target=served.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        served.shutdown()
        served.server_close()
