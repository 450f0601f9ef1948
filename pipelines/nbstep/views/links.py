"""Where a click on a place leads: a file for a path, a console's page for an object in a bucket."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import quote

_CONSOLES: Final = {
    "gs": "https://console.cloud.google.com/storage/browser/_details/{bucket}/{key}",
    "s3": "https://console.aws.amazon.com/s3/object/{bucket}?prefix={key}",
}


def link_to(uri: str) -> str | None:
    """A URL that a browser or a terminal can open, or ``None`` where none is known.

    The console of S3 knows nothing of other servers that speak its protocol: leave such places without a link.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri).absolute().as_uri()
    if scheme in {"http", "https", "file"}:
        return uri
    bucket, _, key = rest.partition("/")
    form = _CONSOLES.get(scheme)
    return form.format(bucket=quote(bucket), key=quote(key)) if form and key else None


def page_link(uri: str, text: str) -> str:
    """A link for a page in a browser, as HTML; where no browser can follow one, the place itself.

    A file below the working directory is linked by its relative path, which Jupyter opens in its own viewer.
    """
    url = _relative(uri) if "://" not in uri else link_to(uri)
    if url is None:
        return f"{escape(text)}: <code>{escape(uri)}</code>"
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(text)}</a>'


def _relative(path: str) -> str | None:
    try:
        return quote(str(Path(path).absolute().relative_to(Path.cwd())))
    except ValueError:
        return None
