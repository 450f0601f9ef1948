"""What a page can show of a notebook's outputs, and what has to be said to be missing."""

from __future__ import annotations

import re
from typing import Any, Final

from nbstep_runner.contract import HtmlAllow
from nbstep_runner.emit import FILE_MIME

NEVER: Final = 3
LEVELS: Final = {HtmlAllow.NOTHING: 0, HtmlAllow.SCRIPTS: 1, HtmlAllow.REMOTE: 2}
PICTURES: Final = ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp")
WIDGET: Final = "application/vnd.jupyter.widget-view+json"
LIBRARIES: Final = {
    "plotly": "plotly",
    "bokeh": "bokeh",
    "holoviews": "holoviews",
    "vega": "altair or vega",
    "widget": "widget",
    "iframe": "embedded page",
}
"""What people call the kind of an output, by a word that its types or its text hold."""
_ACTIVE = re.compile(r"<(script|i?frame|object|embed)\b", re.IGNORECASE)
_REMOTE = re.compile(
    r"""<(script|i?frame)\b[^<>]*\bsrc\s*=\s*["']?\s*(https?:)?//|\bhttps?://[^"'\s]{0,300}(\.js|cdn)""", re.IGNORECASE
)
"""No try of it reads on into the next one: a long text of beginnings would take hours."""
_READ: Final = 4096
"""Characters at either end of an output that are looked at for a library's name: the library itself is in between."""


def leave_out_what_breaks_a_page(notebook: Any) -> None:
    """Leave out of displays what the format allows and no renderer expects.

    That is metadata of a MIME type that are no object, and a widget's view that names no model.

    Args:
        notebook: Of nbformat 4; changed in place.
    """
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            data, metadata = output.get("data", {}), output.get("metadata", {})
            for mime in [mime for mime in data if not isinstance(metadata.get(mime, {}), dict)]:
                del metadata[mime]
            view = data.get(WIDGET, {"model_id": ""})
            if not (isinstance(view, dict) and isinstance(view.get("model_id"), str)):
                del data[WIDGET]


def name_what_is_missing(notebook: Any, allow: HtmlAllow) -> dict[int, str]:
    """Say below each cell what of its outputs does not show; the cells, and what it is.

    An output that has a picture too shows the picture where its scripts may not run.

    Args:
        notebook: Of nbformat 4; changed in place.
        allow: What the page lets outputs do.
    """
    missing: dict[int, str] = {}
    for index, cell in enumerate(notebook["cells"]):
        kinds = dict.fromkeys(filter(None, (_missing(output, allow) for output in cell.get("outputs", ()))))
        if kinds:
            missing[index] = ", ".join(kinds)
            cell["outputs"].append(_note(missing[index], allow))
    return missing


def _missing(output: Any, allow: HtmlAllow) -> str | None:
    """What an output is whose page does not show it; what stands in for it is left in its place."""
    data = output.get("data")
    if not data:
        return None
    needs = {mime: level for mime, value in data.items() if (level := _level(mime, value))}
    held = [mime for mime, level in needs.items() if level > LEVELS[allow]]
    if not held:
        return None
    if len(held) < len(needs) or any(mime in data for mime in PICTURES):
        _remove(data, held)
        return None
    kind = _kind(data)
    _remove(data, [mime for mime in held if mime != "text/html"])
    if "text/html" not in data and len(data) <= 1:
        output["data"] = type(data)({"text/plain": ""})
    return kind


def _level(mime: str, value: Any) -> int:
    """How much a page has to allow before it shows this; 0 where nothing is needed."""
    if mime == "text/html":
        text = "".join(value)
        return (2 if _REMOTE.search(text) else 1) if _ACTIVE.search(text) else 0
    if mime in ("application/javascript", "text/javascript"):
        return 2 if _REMOTE.search("".join(value)) else 1
    if mime == WIDGET:
        return 2  # its renderer is fetched
    if mime == FILE_MIME:
        return 0  # for the runner alone
    return NEVER if mime.startswith("application/vnd.") and mime.endswith("json") else 0


def _remove(data: Any, mimes: list[str]) -> None:
    for mime in mimes:
        del data[mime]


def _kind(data: Any) -> str:
    html = "".join(data.get("text/html", ""))
    script = "".join(data.get("application/javascript", ""))
    seen = " ".join((*data, html[:_READ], html[-_READ:], script[:_READ], script[-_READ:])).lower()
    return next((name for word, name in LIBRARIES.items() if word in seen), "JavaScript")


def _note(kinds: str, allow: HtmlAllow) -> Any:
    from nbformat import from_dict

    why = (
        "needs scripts from elsewhere" if allow is HtmlAllow.SCRIPTS else "needs scripts, which this page does not run"
    )
    style = "border:1px solid #b58900;border-left-width:4px;padding:.4em .8em;margin:.4em 0"
    text = f"Not shown here: {kinds}. It {why}. It is in the executed notebook."
    data = {"text/html": f'<div role="note" style="{style}">{text}</div>', "text/plain": text}
    return from_dict({"output_type": "display_data", "metadata": {}, "data": data})
