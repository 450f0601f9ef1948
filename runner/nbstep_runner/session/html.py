"""The executed notebook as one HTML page: everything embedded, nothing fetched, cells tagged for it left out.

A notebook's output may hold code of anybody. The page's own content policy lets none of it run and nothing be fetched,
unless the run asked for it (:class:`HtmlAllow`); what does not show because of that is said in its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from nbstep_runner.contract import HtmlAllow
from nbstep_runner.errors import BadInputError, UsageError
from nbstep_runner.session.html_outputs import name_what_is_missing

RENDER_HINT = "The executed notebook is whole: try jupyter nbconvert on it, or run without --html."
REMOVED_CELLS = ("remove-cell", "remove_cell")
REMOVED_INPUTS = ("remove-input", "remove_input")
REMOVED_OUTPUTS = ("remove-output", "remove_output")
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
REMOTE_LIBRARIES: Final = ("mathjax_url", "require_js_url", "jquery_url", "widget_renderer_url", "mermaid_js_url")
REACHING_OUT: Final = {
    HtmlAllow.NOTHING: re.compile(r"<(?=(?:meta|base|link|i?frame|object|embed|portal)[\s/>])", re.IGNORECASE),
    HtmlAllow.SCRIPTS: re.compile(r"<(?=(?:meta|base|link)[\s/>])", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and what whoever asked for it should know."""

    content: bytes
    warnings: tuple[str, ...]


def render_html(data: bytes, title: str, allow: HtmlAllow = HtmlAllow.NOTHING) -> Page:
    """A notebook's bytes as an HTML page.

    Raises:
        UsageError: nbconvert is not installed.
        BadInputError: nbconvert cannot render the notebook.
    """
    try:
        from nbconvert.exporters import HTMLExporter
    except ImportError as error:
        raise UsageError("HTML needs nbconvert", hint="Install it: pip install 'nbstep[html]'.") from error
    import nbformat

    exporter: Any = HTMLExporter(config=_configuration(allow))
    try:
        notebook = nbformat.reads(data.decode(), as_version=4)
        missing = name_what_is_missing(notebook, allow)
        page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    except Exception as error:  # nbconvert, its templates and its parsers raise what they like
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BadInputError(f"the notebook has no HTML page: {reason}", hint=RENDER_HINT) from error
    return Page(_guarded(str(page), allow).encode(errors="backslashreplace"), _warnings(missing, allow))


def _configuration(allow: HtmlAllow) -> Any:
    from traitlets.config import Config

    config = Config()
    config.HTMLExporter.embed_images = True
    if allow is not HtmlAllow.REMOTE:
        for library in REMOTE_LIBRARIES:
            config.HTMLExporter[library] = ""
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = set(REMOVED_CELLS)
    config.TagRemovePreprocessor.remove_input_tags = set(REMOVED_INPUTS)
    config.TagRemovePreprocessor.remove_all_outputs_tags = set(REMOVED_OUTPUTS)
    return config


def _guarded(page: str, allow: HtmlAllow) -> str:
    """The page with its policy, before anything that the policy is for.

    A policy does not hold back a refresh to another address, or looking up a host's name for a link: elements of the
    notebook that could do so get a name that means nothing.
    """
    head, body, rest = page.partition("<body")
    if allow in REACHING_OUT:
        rest = REACHING_OUT[allow].sub("<nbstep-held-", rest)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICIES[allow])}">'
    still = '<meta http-equiv="x-dns-prefetch-control" content="off"><meta name="referrer" content="no-referrer">'
    return head.replace("<head>", f"<head>{policy}{still}", 1) + body + rest


def _warnings(missing: dict[int, str], allow: HtmlAllow) -> tuple[str, ...]:
    if not missing:
        return ()
    told = [f"cell {index} ({kind})" for index, kind in missing.items()]
    more = f" and {len(told) - SHOWN_CELLS} more" if len(told) > SHOWN_CELLS else ""
    way = "" if allow is HtmlAllow.REMOTE else "; with --html-allow those appear that bring their scripts"
    return (f"the HTML page does not show what needs scripts: {', '.join(told[:SHOWN_CELLS])}{more}{way}",)
