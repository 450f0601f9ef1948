"""The executed notebook as one HTML page: everything embedded, nothing fetched, cells tagged for it left out."""

from __future__ import annotations

from typing import Any

from nbstep_runner.errors import BadInputError, UsageError

RENDER_HINT = "The executed notebook is whole: try jupyter nbconvert on it, or run without --html."
REMOVED_CELLS = ("remove-cell", "remove_cell")
REMOVED_INPUTS = ("remove-input", "remove_input")
REMOVED_OUTPUTS = ("remove-output", "remove_output")


def render_html(data: bytes, title: str) -> bytes:
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

    exporter: Any = HTMLExporter(config=_configuration())
    try:
        notebook = nbformat.reads(data.decode(), as_version=4)
        page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    except Exception as error:  # nbconvert, its templates and its parsers raise what they like
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BadInputError(f"the notebook has no HTML page: {reason}", hint=RENDER_HINT) from error
    return str(page).encode(errors="backslashreplace")


def _configuration() -> Any:
    from traitlets.config import Config

    config = Config()
    config.HTMLExporter.embed_images = True
    config.HTMLExporter.mathjax_url = ""
    config.HTMLExporter.require_js_url = ""
    config.HTMLExporter.jquery_url = ""
    config.HTMLExporter.widget_renderer_url = ""
    config.HTMLExporter.mermaid_js_url = ""
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = set(REMOVED_CELLS)
    config.TagRemovePreprocessor.remove_input_tags = set(REMOVED_INPUTS)
    config.TagRemovePreprocessor.remove_all_outputs_tags = set(REMOVED_OUTPUTS)
    return config
