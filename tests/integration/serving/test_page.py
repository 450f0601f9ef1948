"""The page to try an endpoint, in a real browser: what is drawn is read, what is wrong is said, nothing is fetched."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.endpoints import EndpointRun
from support.needs import missing

READS = """
from typing import Annotated, Literal
import numpy as np
from nbstep_runner import Image, Table, serve

@serve
def predict(image: Annotated[np.ndarray, Image(8, 8)], kind: Literal["plain", "loud"] = "plain", times: int = 1):
    "Says where the ink is."
    if times < 0:
        raise ValueError("no negative times")
    left, right = image[:, :4].sum() + 1e-9, image[:, 4:].sum() + 1e-9
    share = float(left / (left + right))
    return {"side": "left" if share > 0.5 else "right", "shares": {"left": share, "right": 1 - share}}
"""


class Browser:
    """Chromium, driven by its own driver (W3C WebDriver)."""

    def __init__(self, port: int, folder: Path) -> None:
        self._base = f"http://127.0.0.1:{port}"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"]
        options = {"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": options}})["sessionId"]

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - the driver's own address
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._ask(method, f"/session/{self._session}{path}", body)

    def script(self, code: str, *arguments: Any) -> Any:
        return self("POST", "/execute/sync", {"script": code, "args": list(arguments)})

    def until(self, code: str) -> Any:
        """What a script returns, once it returns something."""
        deadline = time.monotonic() + 60
        while not (value := self.script(code)):
            assert time.monotonic() < deadline, self.script("return document.body.innerText")
            time.sleep(0.05)
        return value

    def draw(self, selector: str, *points: tuple[int, int]) -> None:
        """Draw through points of an element, counted from its middle, with a pressed pointer."""
        element = self("POST", "/element", {"using": "css selector", "value": selector})
        moves = [{"type": "pointerMove", "origin": element, "x": x, "y": y, "duration": 20} for x, y in points]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        self.script("arguments[0].scrollIntoView({block: 'center'})", element)
        self("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]})

    def close(self) -> None:
        self._ask("DELETE", f"/session/{self._session}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if shutil.which("chromedriver") is None:
        missing("chromium", "chromium is not installed (Debian: chromium-driver)")
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    try:
        port = next(int(line.split()[-1].rstrip(".")) for line in driver.stdout if "started successfully" in line)
        opened = Browser(port, tmp_path_factory.mktemp("chromium"))
        yield opened
        opened.close()
    finally:
        driver.terminate()
        driver.wait(30)


ANSWER = "return document.querySelector('#answer .value')?.textContent"


def test_what_is_drawn_is_answered_with_bars(browser: Browser, tmp_path: Path) -> None:
    with EndpointRun(tmp_path, [READS], name="sides") as run:
        run.ready().close()
        browser("POST", "/url", {"url": f"{run.url}/"})
        browser.until("return document.querySelector('canvas')")
        assert browser.script("return document.querySelector('h1').textContent") == "sides"
        browser.draw("canvas", (-100, -80), (-100, 80), (-60, 80))
        browser.script("document.querySelector('#send').click()")
        assert browser.until(ANSWER) == "left"
        rows = browser.script(
            "return [...document.querySelectorAll('.bars tr')].map(row => [row.className, row.innerText.split('\\t')])"
        )
        assert [(name, cells[0], cells[-1]) for name, cells in rows] == [
            ("best", "left", "100.0 %"),
            ("", "right", "0.0 %"),
        ]
        assert browser.script("return document.querySelector('.bar').style.width") == "100%"

        sent = browser.until(
            "const t = document.getElementById('python').textContent; return /\\b[1-9]\\d/.test(t) && t"
        )
        code = sent.replace("print(", "answer = (")
        answered: dict[str, Any] = {}
        exec(code, answered)  # noqa: S102 - what the page gives to copy is run as it is
        assert answered["answer"]["side"] == "left"

        browser.script("document.querySelector('#input-times').value = -1; document.querySelector('#send').click()")
        assert browser.until("return document.querySelector('#answer .wrong')?.textContent").endswith("negative times")
        (told,) = browser("POST", "/se/log", {"type": "browser"})
        assert "500" in told["message"], "the answer of status 500 is all that the browser had to say"


def test_the_pad_is_drawn_on_by_keyboard_too(browser: Browser, tmp_path: Path) -> None:
    with EndpointRun(tmp_path, [READS], name="sides") as run:
        run.ready().close()
        browser("POST", "/url", {"url": f"{run.url}/"})
        browser.until("return document.querySelector('canvas')")
        pad = browser("POST", "/element", {"using": "css selector", "value": "canvas"})
        (element,) = pad.values()
        right = "\ue014"
        browser("POST", f"/element/{element}/value", {"text": f"{right * 3} {right * 3}"})
        browser.script("document.querySelector('#send').click()")
        assert browser.until(ANSWER) == "right"
