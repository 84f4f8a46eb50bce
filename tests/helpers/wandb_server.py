"""A W&B server on the loopback that answers as little as a client needs, until it is told to answer no more."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """`url`; `dead.set()` and it takes requests and never answers."""

    def __init__(self):
        self.dead, self.asked = threading.Event(), []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # noqa: N802
                outer.asked.append(self.path)
                if outer.dead.is_set():
                    outer.over.wait()
                    return
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(200)
                self.send_header("Content-Length", "11")
                self.end_headers()
                self.wfile.write(b'{"data":{}}')

            do_GET = do_PUT = do_POST  # noqa: N815

            def log_message(self, *args):
                pass

        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
