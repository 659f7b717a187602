"""A browser that runs docs/web over HTTP, driven by probe.html."""

import functools
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import urllib.parse

import pytest

WEB = pathlib.Path(__file__).parents[2] / "docs" / "web"
_PROBE = pathlib.Path(__file__).with_name("probe.html")
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --disable-dev-shm-usage "
    "--use-fake-ui-for-media-stream --use-fake-device-for-media-stream"
).split()


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the page, the runtime, the probe and one folder of models and images."""

    def __init__(self, *arguments, places, results, **named):
        self.places, self.results = places, results
        super().__init__(*arguments, **named)

    def translate_path(self, path):
        parts = urllib.parse.unquote(urllib.parse.urlsplit(path).path).strip("/").split("/")
        root = self.places.get(parts[0])
        return str(WEB.joinpath(*parts) if root is None else root.joinpath(*parts[1:]))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.results["last"] = json.loads(body)
        self.send_response(204)
        self.end_headers()
        if self.path == "/results":
            self.results["done"].set()

    def end_headers(self):
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, *arguments):
        pass


def find_browser() -> str:
    """Returns the path of Chromium; skips the test if there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no chromium: apt-get install chromium")


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory) -> pathlib.Path:
    """The folder of the page's npm packages, which are installed for the test if needed."""
    if (WEB / "node_modules").is_dir():
        return WEB / "node_modules"
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm: apt-get install npm")
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(WEB / name, folder)
    subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund"], cwd=folder, check=True, capture_output=True
    )
    return folder / "node_modules"


@pytest.fixture(scope="session")
def browse(node_modules, tmp_path_factory):
    """A function `browse(cases, files)` that returns the page's results by case, in one browser.

    Cases are those of probe.html; the folder ``files`` is served as ``files/``. OTHER in their text
    is another origin, with the same files. The page open.html is index.html that allows it.
    """
    browser = find_browser()

    def run(cases, files, *, timeout_s=240):
        folder = tmp_path_factory.mktemp("browser")
        places = {
            "node_modules": node_modules,
            "files": files,
            "cases.json": folder / "cases.json",
            "open.html": folder / "open.html",
            "probe.html": _PROBE,
        }
        results = {"last": {}, "done": threading.Event()}
        handler = functools.partial(_Handler, places=places, results=results)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        other = f"http://localhost:{server.server_port}"
        (folder / "cases.json").write_text(json.dumps(cases).replace("OTHER", other))
        page, allowed = (WEB / "index.html").read_text(), f"connect-src 'self' {other};"
        (folder / "open.html").write_text(page.replace("connect-src 'self';", allowed))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        flags = [*_FLAGS, f"--user-data-dir={folder / 'profile'}"]
        # In its own session, so that the browser's child processes end with it.
        process = subprocess.Popen(
            [browser, *flags, f"http://127.0.0.1:{server.server_port}/probe.html"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            finished = results["done"].wait(timeout_s)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            server.shutdown()
            server.server_close()
        assert finished, f"the browser got no further than {list(results['last'])}"
        return results["last"]

    return run
