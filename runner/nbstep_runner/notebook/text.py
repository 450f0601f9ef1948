"""Notebooks that are kept as text, such as ``.py`` with ``# %%`` or ``.md``, read by jupytext."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from nbstep_runner.errors import BadInputError, UsageError

SUFFIXES: Final = (".cs", ".jl", ".js", ".m", ".md", ".py", ".qmd", ".r", ".R", ".Rmd", ".scala", ".sh", ".ts")
"""Those of jupytext's whose languages take parameters here, and its formats of Markdown."""
PAGES: Final = ("<!doctype", "<html")


def text_suffix(uri: str) -> str | None:
    """The ending of a notebook that is kept as text; ``None`` for any other."""
    suffix = PurePosixPath(urlsplit(uri).path).suffix
    return suffix if suffix in SUFFIXES else None


def read_text_notebook(data: bytes, suffix: str) -> dict[str, Any]:
    """The notebook of a text, as plain data of nbformat 4; a text without kernel is in the language of its ending.

    Raises:
        UsageError: jupytext is not installed.
        BadInputError: The text is no notebook.
    """
    try:
        import jupytext
    except ImportError as error:
        raise UsageError(
            f"a notebook that ends with {suffix} needs jupytext", hint="Install it: pip install 'nbstep[jupytext]'."
        ) from error
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadInputError(f"the notebook is not UTF-8: {error.reason} at byte {error.start}") from error
    if text.lstrip().lower().startswith(PAGES):
        raise BadInputError("the notebook is a page of HTML", hint="Download the raw file, not its page.")
    try:
        node = jupytext.reads(text, fmt=suffix)
    except Exception as error:  # its parsers, and YAML's, raise what they like
        lines = str(error).splitlines() or [type(error).__name__]
        raise BadInputError(f"jupytext cannot read the notebook: {lines[0]}") from error
    notebook: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(node))
    metadata = notebook["metadata"]
    language = metadata.pop("jupytext", {}).get("main_language")
    if language and "kernelspec" not in metadata:
        metadata.setdefault("language_info", {"name": language})
    return notebook
