"""The page of a run: its executed notebook as one HTML file, below a header that says what came of the run.

How :func:`badge`, :func:`cut`, :func:`duration` and :func:`shown` say a state, a text, a time and a value, and
:func:`facts` what a run is, is how every view does.
"""

from nbstep_runner.page.header import environment_facts, facts
from nbstep_runner.page.render import Page, PageRenderer, render_page, renderer
from nbstep_runner.page.values import badge, cut, duration, gone_on_from, shown

__all__ = [
    "Page",
    "PageRenderer",
    "badge",
    "cut",
    "duration",
    "environment_facts",
    "facts",
    "gone_on_from",
    "render_page",
    "renderer",
    "shown",
]
