"""The executed notebook as one HTML page: everything embedded, nothing fetched, cells tagged for it left out.

nbconvert renders the notebook; the header, the dark theme and what printing needs are put around it.

A notebook's output may hold code of anybody. The page's own content policy lets none of it run and nothing be fetched,
unless the run asked for it (:class:`HtmlAllow`); what does not show because of that is said in its place.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from html import escape
from json import loads
from pathlib import Path
from typing import Any, Final

from msgspec import json

from nbstep_runner.contract import HtmlAllow, RunResult, RunState
from nbstep_runner.errors import BadInputError, NbstepError
from nbstep_runner.notebook import is_surely_valid
from nbstep_runner.page.exporter import REMOVED_CELLS, html_exporter
from nbstep_runner.page.header import header
from nbstep_runner.page.kept import kept_compilations
from nbstep_runner.page.lazy_packages import lazily, stand_in
from nbstep_runner.page.outputs import leave_out_what_breaks_a_page, name_what_is_missing

STYLE: Final = Path(__file__).with_name("page.css")
FAILED_TAG: Final = "nbstep-failed"
"""A class of the failing cell on the page."""
RENDER_HINT = "The executed notebook is whole: try jupyter nbconvert on it, or run without --html."
SHOWN_CELLS: Final = 10
STILL: Final = (
    "default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
POLICIES: Final = {
    HtmlAllow.NOTHING: STILL,
    HtmlAllow.SCRIPTS: f"{STILL}; script-src 'unsafe-inline' 'unsafe-eval' blob: data:; worker-src blob:; "
    "connect-src data: blob:; frame-src data: blob:",
    HtmlAllow.REMOTE: "default-src https: data: blob: 'unsafe-inline' 'unsafe-eval'; base-uri 'none'",
}
REACHING_OUT: Final = {
    HtmlAllow.NOTHING: re.compile(r"<(?=(?:meta|base|link|i?frame|object|embed|portal)[\s/>])", re.IGNORECASE),
    HtmlAllow.SCRIPTS: re.compile(r"<(?=(?:meta|base|link)[\s/>])", re.IGNORECASE),
}


REHEARSAL: Final = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"language_info": {"name": "python", "pygments_lexer": "ipython3"}},
    "cells": [
        {"cell_type": "markdown", "id": "words", "metadata": {}, "source": "# Words\n\nand `code`"},
        {
            "cell_type": "code",
            "id": "code",
            "metadata": {},
            "execution_count": 1,
            "source": "print(1)",
            "outputs": [{"output_type": "stream", "name": "stdout", "text": "1\n"}],
        },
    ],
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and what whoever asked for it should know."""

    content: bytes
    warnings: tuple[str, ...]


class PageRenderer:
    """Renders notebooks one after another; what is imported and compiled for the first page serves the others too.

    Args:
        allow: What the pages let outputs do.
    """

    def __init__(self, allow: HtmlAllow = HtmlAllow.NOTHING) -> None:
        self._allow = allow
        self._rehearsed = False

    @cached_property
    def _exporter(self) -> Any:
        return html_exporter(self._allow)

    def rehearse(self) -> None:
        """Render a small notebook, once and best effort: most of a first page's time is spent on no notebook.

        It is spent on nbconvert's imports and on what is compiled when it is first used: templates, style sheets'
        selectors, Python's colours. What is not needed is not imported, and what was compiled is kept for later
        processes: 0.16 s of processor time instead of 0.45. This is for a process of our own, before it has imported
        nbconvert for something else.
        """
        if self._rehearsed:
            return
        self._rehearsed = True
        record = RunResult(
            run_id="", attempt=1, spec_digest="", state=RunState.SUCCEEDED, input_uri="", output_uri="rehearsal.ipynb"
        )
        # Whatever nbconvert raises is told where a page is asked for.
        with suppress(Exception), kept_compilations() as kept:
            stand_in("ipython_pygments_lexers", for_name="IPython.lib.lexers")
            with lazily("nbconvert", "exporters", "filters", "preprocessors"):
                self._exporter.environment.bytecode_cache = kept.template_cache()
            self.render(json.encode(REHEARSAL), record)

    def render(self, data: bytes, record: RunResult) -> Page:
        """The page of a run, named after its output.

        Args:
            data: The executed notebook.
            record: What is known of the run, its verdict above all.

        Raises:
            UsageError: nbconvert is not installed.
            BadInputError: nbconvert cannot render the notebook.
        """
        name = record.output_uri.rpartition("/")[2].removesuffix(".ipynb")
        try:
            exporter = self._exporter
            notebook, exporter.checks = _read(data)
            anchored = _anchored(notebook, record)
            leave_out_what_breaks_a_page(notebook)
            missing = name_what_is_missing(notebook, self._allow)
            page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": name}})
            dark, *_ = exporter.environment.loader.get_source(exporter.environment, "static/theme-dark.css")
        except NbstepError:
            raise
        except Exception as error:  # nbconvert, its templates and its parsers raise what they like
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise BadInputError(f"the notebook has no HTML page: {reason}", hint=RENDER_HINT) from error
        style = f"<style>@media screen and (prefers-color-scheme: dark) {{{dark}}}\n{STYLE.read_text()}</style>"
        whole = _assembled(str(page), self._allow, style, header(anchored))
        return Page(whole.encode(errors="backslashreplace"), _warnings(missing, self._allow))


@cache
def renderer(allow: HtmlAllow) -> PageRenderer:
    """This process's renderer, for those who render one page at a time."""
    return PageRenderer(allow)


def render_page(data: bytes, record: RunResult, allow: HtmlAllow = HtmlAllow.NOTHING) -> Page:
    """One page; see :meth:`PageRenderer.render`."""
    return PageRenderer(allow).render(data, record)


def _read(data: bytes) -> tuple[Any, bool]:
    """The notebook as nbconvert takes it, and whether nbformat has to judge it.

    nbformat compiles its schema for that, twice: 0.04 of a page's 0.45 s of processor time.
    """
    from nbformat import reads
    from nbformat.v4 import to_notebook

    text = data.decode()
    content = loads(text)
    if isinstance(content, dict) and is_surely_valid(content):
        return to_notebook(content), False
    return reads(text, as_version=4), True


def _anchored(notebook: Any, record: RunResult) -> RunResult:
    """Let the page's links reach every cell of the record; its header says what the cells that mark a failure say.

    Returns:
        The record, whose cells have an id where the page shows them.
    """
    from nbstep_runner.papermill_bridge import ERROR_MARKER_TAG  # views need none of what it imports

    notebook["cells"] = [cell for cell in notebook["cells"] if ERROR_MARKER_TAG not in _tags(cell)]
    shown = [None if _tags(cell) & set(REMOVED_CELLS) else cell.get("id") for cell in notebook["cells"]]
    if record.error is not None and record.error.cell_index is not None:
        metadata = notebook["cells"][record.error.cell_index]["metadata"]
        metadata["tags"] = [*_tags({"metadata": metadata}), FAILED_TAG]
    return replace(record, cells=tuple(replace(cell, id=shown[cell.index]) for cell in record.cells))


def _tags(cell: Any) -> set[str]:
    return set(cell["metadata"].get("tags") or ())


def _assembled(page: str, allow: HtmlAllow, style: str, top: str) -> str:
    """The page with its policy before anything that the policy is for, our style and our header.

    A policy does not hold back a refresh to another address, or looking up a host's name for a link: elements of the
    notebook that could do so get a name that means nothing.
    """
    head, _, rest = page.partition("<body")
    if allow in REACHING_OUT:
        rest = REACHING_OUT[allow].sub("<nbstep-held-", rest)
    attributes, _, body = rest.partition(">")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICIES[allow])}">'
    still = '<meta http-equiv="x-dns-prefetch-control" content="off"><meta name="referrer" content="no-referrer">'
    head = head.replace("<head>", f"<head>{policy}{still}", 1).replace("</head>", f"{style}</head>", 1)
    return f"{head}<body{attributes}>{top}{body}"


def _warnings(missing: dict[int, str], allow: HtmlAllow) -> tuple[str, ...]:
    if not missing:
        return ()
    told = [f"cell {index} ({kind})" for index, kind in missing.items()]
    more = f" and {len(told) - SHOWN_CELLS} more" if len(told) > SHOWN_CELLS else ""
    way = "" if allow is HtmlAllow.REMOTE else "; with --html-allow those appear that bring their scripts"
    return (f"the HTML page does not show what needs scripts: {', '.join(told[:SHOWN_CELLS])}{more}{way}",)
