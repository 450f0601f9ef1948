"""What tests of the service's pages have in common: a browser without scripts, and what a notebook may try."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

BROWSER: Final = {"accept": "text/html"}
HOSTILE: Final = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def links(text: str) -> list[str]:
    """Where a page leads, but for places in itself, and what it fetches."""
    return [unescape(link) for link in re.findall(r'(?:href|src|action)="(?!#)([^"]*)"', text)]


def without_ours(text: str) -> str:
    """A page without the scripts that are ours: each in a file of its own, with nothing in its element."""
    return re.sub(r'<script type="module" src="[a-z/]*/static/(?:run|live|times)\.js"></script>', "", text)
