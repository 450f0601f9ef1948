"""What people see of runs, in a real browser: the pictures of the documentation, and who can read it."""

from __future__ import annotations

import re
import runpy
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from support.browser import Browser

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
JUPYTERLAB: Final = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>card</title><style>
.jp-OutputArea-output dl, .jp-OutputArea-output dt, .jp-OutputArea-output dd { display: block; }
.jp-OutputArea-output dl { width: 100%; overflow: hidden; padding: 0; margin: 0; }
.jp-OutputArea-output dt { font-weight: bold; float: left; width: 20%; padding: 0; margin: 0; }
.jp-OutputArea-output dd { float: left; width: 80%; padding: 0; margin: 0; }
</style><div class="jp-OutputArea-output">"""
"""What JupyterLab's own style does to lists in the output of a cell."""
pytestmark = pytest.mark.server


def views() -> dict[str, Any]:
    return runpy.run_path(str(IMAGES / "make_views.py"))


def size(picture: Path) -> tuple[int, int]:
    """A PNG's width and height."""
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    return width, height


def test_the_pictures_are_those_that_the_script_makes(browser: Browser, tmp_path: Path) -> None:
    del browser  # it is there, so that Chromium is
    subprocess.run([sys.executable, IMAGES / "make_views.py", tmp_path], check=True, timeout=110)
    made = {picture.name: size(picture) for picture in tmp_path.glob("*.png")}
    assert made == {name: size(IMAGES / name) for name in made}
    assert set(made) == {"card.png", "page.png", "sweep.png", "views.png"}
    for name in made:
        share = (tmp_path / name).stat().st_size / (IMAGES / name).stat().st_size
        assert 0.5 < share < 2, f"{name} shows something else by now: run docs/images/make_views.py"


def test_the_page_of_an_endpoint_has_its_picture() -> None:
    made = runpy.run_path(str(IMAGES / "make_endpoint.py"))
    assert size(IMAGES / "endpoint.png") == (2 * made["WIDTH"], made["HEIGHT"])


def test_every_page_of_the_service_has_its_picture_and_is_shown() -> None:
    made = runpy.run_path(str(IMAGES / "make_service.py"))
    page = (IMAGES.parent / "service.md").read_text()
    for name, picture in made["PICTURES"].items():
        assert size(IMAGES / name) == (2 * made["WIDTH"], picture.height)
        assert f"(images/{name})" in page


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", ["page", "cards", "sweep"])
def test_everybody_can_read_it(browser: Browser, tmp_path: Path, view: str, theme: str) -> None:
    """No serious finding of axe-core, in either theme."""
    made, shown = views(), tmp_path / f"{view}.html"
    html = made[view]()
    if isinstance(html, str):
        html = f'<!DOCTYPE html><html lang="en"><title>{view}</title>{made["themed"](html, theme, 600)}'.encode()
    shown.write_bytes(html)
    browser.show(shown, theme)
    assert browser.barriers() == []


def test_names_stay_on_one_line_in_jupyterlab(browser: Browser, tmp_path: Path) -> None:
    shown = tmp_path / "cards.html"
    shown.write_text(JUPYTERLAB + views()["cards"]())
    browser.show(shown)
    heights = browser.script("return [...document.querySelectorAll('.nbstep dt')].map(term => term.offsetHeight)")
    assert heights
    assert max(heights) < 2 * 13 * 1.5  # two lines of the card's text


def test_a_click_on_a_heading_sorts_a_table(browser: Browser, tmp_path: Path) -> None:
    shown = tmp_path / "sweep.html"
    shown.write_text(views()["sweep"]())
    browser.show(shown)
    browser.script("[...document.querySelectorAll('label')].find(head => head.textContent == 'seconds').click()")
    tops = "return [...document.querySelectorAll('tbody tr')].map(row => [row.getBoundingClientRect().top, row.cells[3]"
    rows = sorted(browser.script(f"{tops}.textContent])"))
    times = [float(seconds) for _, seconds in rows]
    assert len(set(times)) > 1
    assert times == sorted(times)


def test_the_picture_of_a_run_is_that_of_a_run(tmp_path: Path) -> None:
    subprocess.run([sys.executable, IMAGES / "make_run.py", tmp_path / "run.svg"], check=True, timeout=110)
    shown, made = (folder.joinpath("run.svg").read_text() for folder in (IMAGES, tmp_path))
    boxes = [tuple(map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', each)[0])) for each in (shown, made)]
    assert boxes[0] == boxes[1], "another number of lines: run docs/images/make_run.py"
    assert 0.8 < len(made) / len(shown) < 1.25, "it shows something else by now: run docs/images/make_run.py"


def test_the_chart_shows_the_figures_that_are_written_down() -> None:
    made = runpy.run_path(str(IMAGES / "make_run.py"))
    assert made["chart"]() in (IMAGES / "run.svg").read_text()
    assert set(made["SHOWN"]) <= set(made["figures"]())


def test_a_click_goes_to_the_failing_cell(browser: Browser, tmp_path: Path) -> None:
    shown = tmp_path / "page.html"
    shown.write_bytes(views()["page"]())
    browser.show(shown)
    top = "return document.querySelector('.celltag_nbstep-failed').getBoundingClientRect().top"
    assert browser.script(top) > browser.script("return innerHeight")  # out of sight
    browser.script("document.querySelector('.nbstep-jump a').click()")
    assert browser.until("return location.hash") == "#cell-id=train"
    assert -1 < browser.script(top) < browser.script("return innerHeight")
