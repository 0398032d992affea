"""The first visit of the cabinet on a phone, by Lighthouse's mobile preset: ``python -m benchmarks.first_visit``.

The server is the real one (gunicorn with its configuration, SQLite, the demo, compression as in production), the
visitor the demo's volunteer, the browser Debian's Chromium with a fresh profile each time, so that nothing is in
its cache. Network and processor are Lighthouse's default: a simulated slow 4G (150 ms, 1.6 Mbit/s) and a processor
four times slower. Addresses other than 127.0.0.1 lead nowhere. Needs Chromium, npm and the development packages.

What distorts, and what was done about it:

- The cabinet holds a stream open, so the network never falls silent, which Lighthouse waits for. It waits
  ``PATIENCE`` rather than its own 45 s, then scores what it has seen, and warns that the page "loaded too slowly".
  The stream is part of the product and stays. The simulated times depend on what came before the paint; the stream
  opens after it.
- Lighthouse leaves out what the service worker fetches, and fetches some things twice for itself. ``total_bytes`` is
  therefore counted on the wire of a plain visit with the same browser: everything that comes down, heads and bodies,
  until the stream is open and the service worker has what it keeps.
- The simulation multiplies the processor time that it saw: on a busy machine all figures but the bytes grow.

Lighthouse 13 asks for Node 22.19 or newer; it ran on 20.20, too, where npm warned.
"""

import json
import os
import re
import shutil
import socket
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
LIGHTHOUSE = "13.5.0"
RUNS = 3
PATIENCE = 12  # seconds that Lighthouse waits for a silent network; the page is complete in less than one
START = 30  # seconds until the server must answer
VOLUNTEER = {"book_no": "2", "password": "volunteer123"}  # the demo's, as `make run` prints it
CHROMIUM = (
    "--headless=new",
    "--no-sandbox",
    "--disable-background-networking",
    '--host-resolver-rules="MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"',
)


def measure() -> dict[str, float]:
    """The medians of three first visits: ``lcp_ms``, ``fcp_ms``, ``total_bytes``, ``score`` (0-100), ``requests``
    (of the page itself).

    Raises :class:`RuntimeError` where Chromium is missing or the server does not start, and
    :class:`subprocess.CalledProcessError` where Lighthouse cannot be installed or fails.
    """
    chromium = shutil.which("chromium")
    if not chromium:
        raise RuntimeError("No Chromium; install Debian's package chromium.")
    program = install_lighthouse(ROOT / "build" / f"lighthouse-{LIGHTHOUSE}")
    with tempfile.TemporaryDirectory() as folder, demo_server(Path(folder)) as port, Meter(port) as meter:
        cookies = sign_in(meter.url)
        visits = [visit(program, chromium, meter.url, cookies) for _ in range(RUNS)]
        bytes_down = weigh(chromium, meter, cookies)
    medians = {name: statistics.median(each[name] for each in visits) for name in visits[0]}
    return medians | {"total_bytes": bytes_down}


def install_lighthouse(folder: Path) -> Path:
    """The program, fetched from npm unless it is in this folder already."""
    program = folder / "node_modules" / ".bin" / "lighthouse"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([*command, "--prefix", str(folder), f"lighthouse@{LIGHTHOUSE}"], check=True)
    return program


def visit(program: Path, chromium: str, url: str, cookies: dict[str, str]) -> dict[str, float]:
    """One first visit of the cabinet, as Lighthouse sees it. Raises :class:`RuntimeError` if it saw something else."""
    header = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    command = [str(program), f"{url}/cabinet", "--only-categories=performance", "--output=json", "--quiet"]
    command += [f"--chrome-flags={' '.join(CHROMIUM)}", f"--max-wait-for-load={PATIENCE * 1000}"]
    command += [f"--extra-headers={json.dumps(header)}", "--no-enable-error-reporting"]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment["CHROME_PATH"] = chromium
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    report: dict[str, Any] = json.loads(done.stdout)
    if report.get("runtimeError") or report["finalDisplayedUrl"] != f"{url}/cabinet":
        raise RuntimeError(f"Lighthouse saw {report['finalDisplayedUrl']}: {report.get('runtimeError')}")
    audits = report["audits"]
    return {
        "lcp_ms": audits["largest-contentful-paint"]["numericValue"],
        "fcp_ms": audits["first-contentful-paint"]["numericValue"],
        "score": report["categories"]["performance"]["score"] * 100,
        "requests": sum(each["transferSize"] > 0 for each in audits["network-requests"]["details"]["items"]),
    }


def weigh(chromium: str, meter: "Meter", cookies: dict[str, str]) -> int:
    """The bytes that come down in one first visit, with what the service worker fetches."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *CHROMIUM[2:3]])
        context = browser.new_context()
        context.add_cookies([{"name": name, "value": value, "url": meter.url} for name, value in cookies.items()])
        page = context.new_page()
        before = meter.bytes_down
        with page.expect_response("**/cabinet/live?*"):
            page.goto(f"{meter.url}/cabinet")
        page.evaluate("async () => { await navigator.serviceWorker.ready }")
        came = meter.bytes_down - before
        browser.close()
    return came


def sign_in(url: str) -> dict[str, str]:
    """Through the form, as the volunteer does; the cookies by name."""
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar))
    form = browser.open(f"{url}/sign-in").read().decode()
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', form)
    assert found, "the form has no CSRF token"
    body = urllib.parse.urlencode(VOLUNTEER | {"csrf_token": found[1]}).encode()
    landed = browser.open(f"{url}/sign-in", body).url
    assert landed == f"{url}/cabinet", f"signed in, but came to {landed}"
    return {cookie.name: cookie.value or "" for cookie in jar}


@contextmanager
def demo_server(folder: Path) -> Iterator[int]:
    """The port of a server of its own, with a new demo in this folder.

    Raises :class:`RuntimeError` if it does not answer in time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    ours = {"INSTANCE_PATH": str(folder), "HOST": "127.0.0.1", "PORT": str(port)}
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | ours
    for command in ("db upgrade", "seed"):
        flask = [sys.executable, "-m", "flask", "--app", "wsgi", *command.split()]
        subprocess.run(flask, cwd=ROOT, env=environment, check=True, capture_output=True)
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", "webapp/server.py", "--log-level", "warning"]
    server = subprocess.Popen(gunicorn, cwd=ROOT, env=environment)
    try:
        until = time.monotonic() + START
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError("The server did not start.")
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(START)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Meter(socketserver.ThreadingTCPServer):
    """Stands between browser and server, passes everything on as it is, and counts what comes down."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.upstream = upstream
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.bytes_down = 0
        self.counting = threading.Lock()

    def __enter__(self) -> "Meter":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        self.server_close()


class _Pass(socketserver.BaseRequestHandler):
    server: Meter

    def handle(self) -> None:
        """One connection, until either side ends it."""
        with socket.create_connection(("127.0.0.1", self.server.upstream)) as server:
            for end in (server, self.request):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            up = threading.Thread(target=self._pump, args=(self.request, server), daemon=True)
            up.start()
            self._pump(server, self.request)
            up.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # cut at either end
            while some := source.recv(65536):
                target.sendall(some)
                if target is self.request:
                    with self.server.counting:
                        self.server.bytes_down += len(some)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:12} {value:10,.0f}")
