"""A file server on this machine, with ranges and with all that can go wrong on the way."""

import contextlib
import re
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves `files`, by name; each of `failures` answers one request in the place of the file.

    Attributes:
        files: Content by name.
        failures: What answers the next requests: a function that is given the request.
        requests: The headers of every request so far.
        address: Where the files are.
    """

    def __init__(self, files, port):
        self.files = files
        self.failures = deque()
        self.requests = []
        self.address = f"http://127.0.0.1:{port}/mirror"

    @property
    def ranges(self):
        """The range that each request asked for, or None."""
        return [headers.get("Range") for headers in self.requests]


class Request(BaseHTTPRequestHandler):
    """One request, with the ways to answer it."""

    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self):
        """Let a failure answer, or the file."""
        state = self.server.state
        state.requests.append(dict(self.headers))
        answer = state.failures.popleft() if state.failures else Request.whole
        answer(self)
        self.close_connection = True

    def log_message(self, *_):
        """Say nothing."""

    def whole(self, *, ranges=True, most=None, length=None, start=None):
        """Send the file, or what is asked for of it.

        Args:
            ranges: Heed the range that is asked for.
            most: Send no more bytes, whatever the headers say.
            length: What to say the length is; "" says nothing.
            start: Where to begin instead of where the range begins.
        """
        folder, _, name = self.path.partition("?")[0].rpartition("/")
        content = self.server.state.files.get(name)
        if content is None or folder != "/mirror":
            self.send_error(404)
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if ranges else None
        first = int(asked[1]) if asked else 0
        if asked and first >= len(content):
            self.send_error(416)
            return
        first = first if start is None else start
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if length != "":
            self.send_header("Content-Length", str(length or len(content) - first))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content[first:][:most])

    def status(self, code, **headers):
        """Send a status without content."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Say nothing when a client goes away."""


@contextlib.contextmanager
def serving(files):
    """Serve files under `/mirror` for as long as the block runs."""
    with _Server(("127.0.0.1", 0), Request) as server:
        server.state = FileServer(files, server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.state
        finally:
            server.shutdown()
            thread.join()
