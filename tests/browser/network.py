"""A network between a phone and the server: it can be taken away, and lose answers on the way back."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NOT_PASSED_ON = {"connection", "transfer-encoding", "keep-alive"}


class Network(ThreadingHTTPServer):
    """A proxy in front of the server's port. The phone knows its address only."""

    daemon_threads = True

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.is_down = False
        self.loses_answer: Callable[[], bool] = lambda: False
        """Asked for every batch of operations that the server has answered."""
        self.batches = 0
        self.bytes_down = 0
        """What came from the server, heads and bodies."""
        self.live_bytes = 0
        """How much of it came as events of a stream."""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def go_down(self) -> None:
        """From now on nothing gets through, and what was open is cut."""
        self.is_down = True
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        self.is_down = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Cut connections are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    server: Network
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        if self.server.is_down:
            return
        with self.server._lock:
            self.server._open.add(self.connection)
        try:
            super().handle()
        finally:
            with self.server._lock:
                self.server._open.discard(self.connection)

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in NOT_PASSED_ON:
                    upstream.putheader(name, value)
            upstream.putheader("Connection", "close")
            upstream.endheaders(body)
            response = upstream.getresponse()
            if self.path == "/roll-call/sync":
                self.server.batches += 1
                if self.server.loses_answer():
                    response.read()
                    return
            if self.server.is_down:
                return
            self._answer(response)
        except (OSError, http.client.HTTPException):
            return  # the server is gone; so is the connection
        finally:
            upstream.close()

    def _answer(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.headers.items():
            if name.lower() not in NOT_PASSED_ON:
                self.send_header(name, value)
                self.server.bytes_down += len(name) + len(value) + 4
        self.send_header("Connection", "close")
        self.end_headers()
        while some := response.read1(65536):
            self.wfile.write(some)
            self.wfile.flush()
            self.server.bytes_down += len(some)
            self.server.live_bytes += len(some) if "/live" in self.path else 0

    def log_message(self, *args: object) -> None:
        """Silence."""


@contextmanager
def network(upstream: int) -> Iterator[Network]:
    proxy = Network(upstream)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.go_down()
        proxy.shutdown()
        thread.join()
        proxy.server_close()
