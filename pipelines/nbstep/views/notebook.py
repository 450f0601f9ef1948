"""An executed notebook as plain data that shows itself, in a notebook, as the page that it is."""

from __future__ import annotations

from html import escape
from typing import Any, Final

import msgspec

from nbstep.views.links import page_link
from nbstep_runner.contract import RunResult
from nbstep_runner.errors import NbstepError
from nbstep_runner.page import render_page

LARGEST: Final = 5_000_000
"""Characters: what a notebook shows it also saves."""


class ExecutedNotebook(dict[str, Any]):
    """A notebook as its file has it, and the record of the run that made it."""

    def __init__(self, data: bytes, uri: str, record: RunResult | None) -> None:
        super().__init__(msgspec.json.decode(data))
        self._data = data
        self._uri = uri
        self._record = record

    def _repr_html_(self) -> str:
        """The page in a frame of its own, where none of its styles and scripts reaches the notebook around it."""
        link = page_link(self._uri, "the executed notebook")
        if self._record is None:
            return f"<p>{link}, {len(self['cells'])} cells, of a run that has not ended</p>"
        try:
            page = render_page(self._data, self._record).content.decode()
        except NbstepError as error:
            return f"<p>{link}, {len(self['cells'])} cells: {escape(error.message)}</p>"
        if len(page) > LARGEST:
            return f"<p>{link}, {len(self['cells'])} cells: too large to be shown here</p>"
        style = "width:100%;height:45em;border:1px solid rgba(128,128,128,.4);border-radius:6px"
        return f'<iframe sandbox title="Executed notebook" srcdoc="{escape(page)}" style="{style}"></iframe>'
