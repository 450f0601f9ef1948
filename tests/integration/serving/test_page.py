"""The page to try an endpoint, in a real browser: what is drawn is read, what is wrong is said, nothing is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.browser import Browser
from support.endpoints import EndpointRun

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

INK = "const text = document.getElementById('python').textContent; return /image.*\\b[1-9]\\d/.test(text) && text"
"""The request as Python, once there is something drawn in it."""
TABLES = """
import pandas as pd

@serve
def predict(image: Annotated[np.ndarray, Image(8, 8)], rows: Annotated[pd.DataFrame, Table({"area": float})]):
    "Answers with each kind of input on one page."
    return {"words": "read", "shares": {"a": 0.25, "b": 0.75}, "rows": rows}
"""
ANSWER = "return document.querySelector('#answer .value')?.textContent"


def test_what_is_drawn_is_answered_with_bars(browser: Browser, tmp_path: Path) -> None:
    with EndpointRun(tmp_path, [READS], name="sides") as run:
        run.ready().close()
        browser("POST", "/url", {"url": f"{run.url}/"})
        browser.until("return document.querySelector('canvas')")
        assert browser.script("return document.querySelector('h1').textContent") == "sides"
        browser.draw("canvas", (-100, -80), (-100, 80), (-60, 80))
        browser.until(INK)  # the page hears of the pointer when it comes to it
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

        sent = browser.script("return document.getElementById('python').textContent")
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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_use_it(browser: Browser, tmp_path: Path, theme: str) -> None:
    with EndpointRun(tmp_path, [READS, TABLES], name="rows") as run:
        run.ready().close()
        browser.show(f"{run.url}/", theme)
        browser.until("return document.querySelector('canvas') && document.querySelector('td input')")
        browser.script("document.querySelector('td input').value = 3; document.querySelector('#send').click()")
        browser.until(ANSWER)
        assert browser.barriers() == []
