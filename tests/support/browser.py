"""Chromium, driven by its own driver (W3C WebDriver)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from support.needs import missing

ENTER: Final = "\ue007"
TAB: Final = "\ue004"
SHIFT: Final = "\ue008"
"""Keys, as WebDriver writes them."""
AXE: Final = Path(sys.prefix, "axe/node_modules/axe-core/axe.min.js")
SERIOUS: Final = """
return axe.run().then(found => found.violations.filter(each => ["serious", "critical"].includes(each.impact))
  .flatMap(each => each.nodes.map(node => [each.id, node.html, node.failureSummary])))
"""


class Browser:
    """One window of a Chromium without a screen.

    Args:
        port: Of the driver.
        folder: For the browser's profile.
    """

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
        """What a function with this body returns on the page; a promise is waited for."""
        return self("POST", "/execute/sync", {"script": code, "args": list(arguments)})

    def until(self, code: str) -> Any:
        """What a script returns, once it returns something."""
        deadline = time.monotonic() + 60
        while not (value := self.script(code)):
            assert time.monotonic() < deadline, self.script("return document.body.innerText")
            time.sleep(0.05)
        return value

    def show(self, page: Path | str, theme: str = "light") -> None:
        """Open a file or a URL as somebody sees it who prefers ``light`` or ``dark``."""
        self.prefer(theme)
        self("POST", "/url", {"url": page if isinstance(page, str) else page.as_uri()})

    def prefer(self, theme: str) -> None:
        """Show pages from now on to somebody who prefers ``light`` or ``dark``."""
        preference = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        self("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": preference})

    def fits(self, width: int) -> bool:
        """Whether the page shows without scrolling sideways in a window of this width, which it has from now on."""
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": size})
        return bool(self.script("return document.documentElement.scrollWidth <= innerWidth"))

    def type(self, selector: str, text: str) -> None:
        """Type into a field of a form; a field for a file takes its path."""
        element = self("POST", "/element", {"using": "css selector", "value": selector})
        (key,) = element.values()
        self("POST", f"/element/{key}/value", {"text": text})

    def press(self, *keys: str, holding: str = "") -> None:
        """Press keys one after the other, wherever the keyboard is, while another is held."""
        pressed = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        held = [{"type": kind, "value": holding} for kind in ("keyDown", "keyUp")] if holding else []
        actions = [*held[:1], *pressed, *held[1:]]
        self("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def barriers(self) -> list[Any]:
        """The serious findings of axe-core on the page: what keeps somebody from reading or using it."""
        if not AXE.exists():
            missing("axe", "axe-core is not installed (make axe)")
        found: list[Any] = self.script(f"{AXE.read_text()}\n{SERIOUS}")
        return found

    def draw(self, selector: str, *points: tuple[int, int]) -> None:
        """Draw through points of an element, counted from its middle, with a pressed pointer."""
        element = self("POST", "/element", {"using": "css selector", "value": selector})
        moves = [{"type": "pointerMove", "origin": element, "x": x, "y": y, "duration": 20} for x, y in points]
        actions = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        self.script("arguments[0].scrollIntoView({block: 'center'})", element)
        self("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]})

    def close(self) -> None:
        """End the session, and the browser with it."""
        self._ask("DELETE", f"/session/{self._session}")


def _driver() -> tuple[subprocess.Popen[str], int]:
    """chromedriver and its port; it ends where the port that it found free is taken by then."""
    for _ in range(5):
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        assert driver.stdout is not None
        for line in driver.stdout:
            if "started successfully" in line:
                return driver, int(line.split()[-1].rstrip("."))
        driver.wait(30)
    raise AssertionError("chromedriver does not start")


@contextmanager
def driven(folder: Path) -> Iterator[Browser]:
    """A browser for a block; its profile is in the folder."""
    driver, port = _driver()
    try:
        opened = Browser(port, folder)
        yield opened
        opened.close()
    finally:
        driver.terminate()
        driver.wait(30)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for the tests of a file."""
    if shutil.which("chromedriver") is None:
        missing("chromium", "chromium is not installed (Debian: chromium-driver)")
    with driven(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened
