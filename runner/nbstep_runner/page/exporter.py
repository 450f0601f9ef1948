"""nbconvert's exporter to HTML, set up for our pages."""

from __future__ import annotations

from typing import Any, Final

from nbstep_runner.contract import HtmlAllow
from nbstep_runner.errors import UsageError

REMOVED_CELLS: Final = ("remove-cell", "remove_cell")
REMOVED_INPUTS: Final = ("remove-input", "remove_input")
REMOVED_OUTPUTS: Final = ("remove-output", "remove_output")
REMOTE_LIBRARIES: Final = ("mathjax_url", "require_js_url", "jquery_url", "widget_renderer_url", "mermaid_js_url")
EXECUTES: Final = "nbconvert.preprocessors.ExecutePreprocessor"
"""What imports Jupyter's client and the libraries beneath it, and is never enabled for a page."""


def html_exporter(allow: HtmlAllow) -> Any:
    """An exporter that embeds everything and leaves out the cells tagged for it.

    Its ``checks`` says whether it lets nbformat check the notebook after each of its steps.

    Args:
        allow: What the pages let outputs do.

    Raises:
        UsageError: nbconvert is not installed.
    """
    try:
        from nbconvert.exporters import HTMLExporter
    except ImportError as error:
        raise UsageError("the page needs nbconvert: pip install 'nbstep[html]'") from error

    base: Any = HTMLExporter

    class PageExporter(base):  # type: ignore[misc]  # what nbconvert says of its types differs by version
        checks = True

        def _validate_preprocessor(self, notebook: Any, preprocessor: Any) -> None:
            if self.checks:
                super()._validate_preprocessor(notebook, preprocessor)

    steps = base.class_traits()["default_preprocessors"].default()
    return PageExporter(config=_configuration(allow, [step for step in steps if step != EXECUTES]))


def _configuration(allow: HtmlAllow, steps: list[Any]) -> Any:
    from traitlets.config import Config

    config = Config()
    config.HTMLExporter.embed_images = True
    config.HTMLExporter.default_preprocessors = steps
    if allow is not HtmlAllow.REMOTE:
        for library in REMOTE_LIBRARIES:
            config.HTMLExporter[library] = ""
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = set(REMOVED_CELLS)
    config.TagRemovePreprocessor.remove_input_tags = set(REMOVED_INPUTS)
    config.TagRemovePreprocessor.remove_all_outputs_tags = set(REMOVED_OUTPUTS)
    return config
