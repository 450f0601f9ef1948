"""The picture of an endpoint's page: ``python docs/images/make_endpoint.py [FILE]``, with Chromium and its driver.

The digits example is trained for a moment and served; a four is drawn, and what the endpoint reads is shown, in a light
and in a dark theme side by side.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

import nbstep

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.browser import Browser, driven  # noqa: E402 - the tests' own browser

STROKES = (((-20, -110), (-70, 30), (70, 30)), ((30, -40), (30, 110)))
WIDTH, HEIGHT = 640, 1150
ANSWER = "return document.querySelector('#answer .bars')"


def resized(browser: Browser, width: int) -> None:
    """Make the page this wide, without scroll bars."""
    size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    for command, parameters in (("setDeviceMetricsOverride", size), ("setScrollbarsHidden", {"hidden": True})):
        browser("POST", "/goog/cdp/execute", {"cmd": f"Emulation.{command}", "params": parameters})


def shown(browser: Browser, url: str, theme: str) -> bytes:
    """The page as a PNG, once a drawing has been read."""
    resized(browser, WIDTH)
    browser.show(f"{url}/", theme)
    browser.until("return document.querySelector('canvas')")
    browser.script("[...document.querySelectorAll('button')].find(each => each.textContent === 'Clear').click()")
    for stroke in STROKES:
        browser.draw("canvas", *stroke)
    browser.script("document.querySelector('#send').click()")
    browser.until(ANSWER)
    browser.script("window.scrollTo(0, 0)")
    return base64.b64decode(browser("GET", "/screenshot"))


def main(file: Path) -> None:
    """Train, serve, draw, and lay the two pictures side by side."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = {"model_path": str(folder / "model"), "held_out_path": str(folder / "held-out.npz")}
        nbstep.run(ROOT / "notebooks/digits/train.ipynb", folder / "train.ipynb", places | {"train_steps": 400})
        endpoint = nbstep.serve(
            ROOT / "notebooks/digits/predict.ipynb",
            {"model_uri": str(folder / "model")},
            name="digits",
            runs=folder / "runs",
        )
        try:
            with driven(folder / "profile") as browser:
                pictures = [shown(browser, endpoint.url, theme) for theme in ("light", "dark")]
                urls = [f"data:image/png;base64,{base64.b64encode(each).decode()}" for each in pictures]
                page = folder / "both.html"
                page.write_text(
                    "<style>body{margin:0;display:flex}</style>" + "".join(f'<img src="{url}">' for url in urls)
                )
                resized(browser, 2 * WIDTH)
                browser.show(page)
                file.write_bytes(base64.b64decode(browser("GET", "/screenshot")))
        finally:
            endpoint.delete()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else ROOT / "docs/images/endpoint.png")
