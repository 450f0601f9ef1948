"""Results: the one function of nbstep that a notebook calls."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SCRAP_MIME = "application/scrapbook.scrap.{}+json"
"""scrapbook's MIME type for a value (scrapbook, ``scrap.v1`` schema); text has its own, so that "12" stays text."""
FILE_MIME = "application/vnd.nbstep.file+json"
PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
}
LARGEST_PICTURE = 4 * 2**20
DEEPEST = 100
"""Levels of lists and objects in a value; the runner reads messages of twice as many."""
UNSAID = ("m", "c")
"""Kinds of NumPy's types that JSON has nothing for: durations, whose unit would be lost, and complex numbers."""


def result(name: str, value: Any) -> None:
    """Report a value of this run by name; it lands, typed, in the run's record.

    Outside a notebook, and in programs that it has started, it does nothing, so the same code runs as a plain script.
    Of forked children, as ``multiprocessing`` has them, it reports.
    A later value of the same name replaces an earlier one. NumPy scalars and arrays, and pandas values, are reported as
    what they hold.

    A ``Path`` is a file or folder of the working directory: it is stored with the run as it is at the end, the value is
    its name, and a picture is shown.

    Args:
        name: Any non-empty text.
        value: Anything that JSON can say, NaN and infinities, or a path.

    Raises:
        FileNotFoundError: There is nothing at the path.
        TypeError: JSON cannot say the value, or the name is not text.
    """
    if not isinstance(name, str) or not name:
        raise TypeError("a result's name must be a non-empty string")
    import json
    from pathlib import Path

    from nbstep_runner.nonfinite import written

    file = value if isinstance(value, Path) else None
    if file is not None:
        file.stat()
        value = str(file)
    text = json.dumps([name, value], default=_plain, allow_nan=True)
    plain = json.loads(text)[1]
    if "\\ud" in text:  # where half of a surrogate pair may be: it would arrive as another character
        try:
            json.dumps([name, plain], ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise TypeError("a result must be text that UTF-8 can say, not half of a surrogate pair") from None
    if _depth(plain) > DEEPEST:
        raise TypeError(f"a result must be nested at most {DEEPEST} levels deep")
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        return
    encoder = "text" if isinstance(plain, str) else "json"
    scrap = {"name": name, "data": written(plain), "encoder": encoder, "version": 1}
    shown = {} if file is None else {FILE_MIME: {"path": str(file.absolute())}, **_picture(file)}
    _publish(
        ipython,
        {SCRAP_MIME.format(encoder): scrap, "text/plain": f"{name} = {plain!r}"} | shown,
        {"scrapbook": {"name": name, "data": True, "display": False}},
    )


def _publish(ipython: Any, data: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Show it; a cell that keeps its displays to itself (``%%capture``) reports its results all the same.

    So does a forked child, whose session refuses to send: the thread that publishes hands it over to its parent's.
    """
    from IPython.core.displaypub import CapturingDisplayPublisher

    shell = ipython.get_ipython()
    kernel = getattr(shell, "kernel", None)
    forked = kernel is not None and kernel.session.pid != os.getpid()
    if not forked:
        ipython.display.publish_display_data(data, metadata=metadata)
    if kernel is not None and (forked or isinstance(shell.display_pub, CapturingDisplayPublisher)):
        content = {"data": data, "metadata": metadata, "transient": {}}
        pid, kernel.session.pid = kernel.session.pid, os.getpid()
        kernel.session.send(kernel.iopub_socket, "display_data", content, parent=kernel.get_parent())
        kernel.session.pid = pid


def _depth(value: Any) -> int:
    """Levels of lists and objects."""
    levels, inner = 0, [value]
    while inner := [each for each in inner if isinstance(each, list | dict)]:
        levels += 1
        inner = [item for each in inner for item in (each.values() if isinstance(each, dict) else each)]
    return levels


def _picture(file: Path) -> dict[str, str]:
    """A picture as Jupyter shows it; nothing for other files, and for those that no page should carry."""
    import base64

    kind = PICTURES.get(file.suffix.lower())
    if kind is None or not file.is_file() or file.stat().st_size > LARGEST_PICTURE:
        return {}
    data = file.read_bytes()
    return {kind: data.decode(errors="replace") if kind.endswith("xml") else base64.b64encode(data).decode()}


def _plain(value: Any) -> Any:
    """A value that JSON cannot say, in a form that it can, exactly; what that holds may be such a value again."""
    numpy = sys.modules.get("numpy")
    ours = numpy is not None and isinstance(value, numpy.ndarray | numpy.generic)
    kind = value.dtype.kind if ours else ""
    if kind == "M":  # as a list nanoseconds are plain integers
        return value.astype(str).tolist()
    if kind == "V" and value.dtype.names:  # a record, or an array of them: field by field, for the same reason
        return list(value) if value.ndim else [value[name] for name in value.dtype.names]
    for method in ("tolist", "isoformat", "to_dict") if kind not in UNSAID else ():
        if callable(convert := getattr(value, method, None)) and type(converted := convert()) is not type(value):
            return converted
    raise TypeError(f"a result must be something that JSON can say, not {type(value).__name__}")
