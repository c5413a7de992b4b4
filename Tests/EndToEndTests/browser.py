"""A real browser without a window, on a page that the test serves and that reports by POST."""

import contextlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import time

from harness import Skip

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 90


class Page:
    """Serves files by their paths, on a free port of 127.0.0.1, and collects what pages report."""

    def __init__(self, files):
        page = self
        self.reports, self.arrived = [], threading.Condition()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                text = files.get(self.path)
                self.send_response(200 if text else 404)
                kind = "text/javascript" if self.path.endswith(".js") else "text/html"
                self.send_header("content-type", f"{kind}; charset=utf-8")
                self.end_headers()
                self.wfile.write((text or "").encode())

            def do_POST(self):
                text = self.rfile.read(int(self.headers["content-length"])).decode()
                with page.arrived:
                    page.reports.append(text)
                    page.arrived.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, is_wanted):
        """The first report that is wanted."""
        deadline = time.monotonic() + START_SECONDS
        with self.arrived:
            while True:
                for report in self.reports:
                    if is_wanted(report):
                        return report
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"the page did not report; last: {self.reports[-1:]}")
                self.arrived.wait(left)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def browsing(environment, page, path="/"):
    """A browser that shows the page, until the end of the block."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise Skip("no chromium is installed")
    profile = environment.directory / "browser"
    log = open(environment.directory / "browser.log", "wb")
    child = subprocess.Popen(
        [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--no-first-run", "--disable-extensions", "--disable-background-networking",
         "--disable-component-update", f"--user-data-dir={profile}", page.origin + path],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        env={**os.environ, "HOME": str(environment.directory)})
    environment.children.append(child)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        log.close()


def report_of(environment, page, path="/"):
    """What the page says at its end: `report(value)` in its script sends it."""
    with browsing(environment, page, path):
        return json.loads(page.wait(lambda text: text.startswith("{")))
