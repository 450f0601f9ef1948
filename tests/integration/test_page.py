"""A hostile notebook's page in a real browser: nothing is fetched, and no script of the notebook runs."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from nbstep_runner.contract import HtmlAllow
from nbstep_runner.page import render_page
from servers.ports import QuietServer, require
from support.records import run_record

RECORD = run_record(output_uri="the name.ipynb")
TEXT = """# Title
<meta http-equiv="refresh" content="0;url={0}/refresh"><base href="{0}/"><link rel="stylesheet" href="{0}/css">
![picture]({0}/markdown.png)
"""
HTML = """<script>document.title = "html"; fetch("{0}/fetch")</script><img src="{0}/img">
<img src="x" onerror="document.title = 'handler'"><input autofocus onfocus="document.title = 'focus'">
<iframe src="{0}/frame"></iframe><iframe srcdoc="<script>parent.document.title = 'frame'</script>"></iframe>
<object data="{0}/object"></object><embed src="{0}/embed"><video autoplay src="{0}/video"></video>
<style>@import url({0}/import); body {{ background: url({0}/background) }}</style>
<script type="module" src="{0}/module.js"></script>"""
SVG = """<svg xmlns="http://www.w3.org/2000/svg" onload="document.title = 'svg'"><script>document.title = 'svg'</script>
<image href="{0}/svg"/></svg>"""


class Outside:
    """A server that hears whatever a page fetches."""

    def __init__(self) -> None:
        heard: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                heard.append(self.path)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.heard = heard
        self.server = QuietServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def outside() -> Iterator[Outside]:
    made = Outside()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def hostile(address: str) -> bytes:
    data = [
        {"text/html": HTML.format(address)},
        {"application/javascript": "document.title = 'javascript'"},
        {"image/svg+xml": SVG.format(address)},
    ]
    outputs = [{"output_type": "display_data", "data": one, "metadata": {}} for one in data]
    code = {"cell_type": "code", "id": "b", "metadata": {}, "source": "1", "execution_count": 1, "outputs": outputs}
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": TEXT.format(address)}, code]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


def title_in_browser(page: bytes, folder: Path) -> str:
    """The title of the document once the browser has nothing left to do."""
    (folder / "page.html").write_bytes(page)
    command = [
        require("chromium", "chromium"),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
    ]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run(
        [*command, (folder / "page.html").as_uri()], capture_output=True, text=True, timeout=110, check=True
    )
    return done.stdout.partition("<title>")[2].partition("</title>")[0]


@pytest.mark.server
@pytest.mark.fault(43)
def test_nothing_is_fetched_and_no_script_of_the_notebook_runs(tmp_path: Path, outside: Outside) -> None:
    page = render_page(hostile(outside.address), RECORD)
    assert title_in_browser(page.content, tmp_path) == "the name"
    assert outside.heard == []


@pytest.mark.slow
@pytest.mark.server
def test_scripts_run_where_they_are_allowed_and_still_fetch_nothing(tmp_path: Path, outside: Outside) -> None:
    page = render_page(hostile(outside.address), RECORD, HtmlAllow.SCRIPTS)
    assert title_in_browser(page.content, tmp_path) != "the name"
    assert outside.heard == []
