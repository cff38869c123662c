"""A receiver of webhooks in a process of its own that misbehaves: `python -m tests.support.webhook_receiver PORT FILE SECRET`.

It checks the signature with the specification's library, then appends each request that it accepts to FILE, one JSON line,
before it answers. Of all requests some get 500 or 429, some
are accepted without an answer, and some are neither accepted nor answered until the sender gives up.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks import Webhook

STALL_S = 2.0


def serve(port: int, file: Path, secret: str) -> None:
    lock, seen = threading.Lock(), [0]

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            with lock:
                seen[0] += 1
                number = seen[0]
            if number % 11 == 5:
                time.sleep(STALL_S)  # the sender's timeout is shorter
                return
            if number % 7 == 3:
                self._answer(500 if number % 2 else 429)
                return
            Webhook(secret).verify(body, dict(self.headers))  # or there is no answer
            with lock, file.open("a") as kept:
                kept.write(json.dumps({"headers": dict(self.headers), "body": body}) + "\n")
            if number % 13 != 6:
                self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
