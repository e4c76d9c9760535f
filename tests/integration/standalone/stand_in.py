"""A tiny stand-in for a service: ready when it says so, ends as it is told, notes both in a file.

`python -m tests.integration.standalone.stand_in NAME PORT NOTES [--never-ready] [--ignore-sigterm] [--fail CODE]`
"""

import argparse
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import FrameType


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("port", type=int)
    parser.add_argument("notes")
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--ignore-sigterm", action="store_true")
    parser.add_argument("--fail", type=int)
    options = parser.parse_args()

    def note(what: str) -> None:
        with open(options.notes, "a") as notes:
            notes.write(f"{options.name} {what} {os.getpid()}\n")

    if options.fail is not None:
        print(f"{options.name} cannot go on", file=sys.stderr)
        return int(options.fail)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/fail":
                print(f"{options.name} cannot go on", file=sys.stderr, flush=True)
                os._exit(3)
            body = f"{options.name} {self.path}".encode()
            self.send_response(503 if options.never_ready else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", options.port), Handler)

    def stop(number: int, frame: FrameType | None) -> None:
        note("told")
        if not options.ignore_sigterm:
            threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    note("started")
    server.serve_forever()
    server.server_close()
    note("ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
