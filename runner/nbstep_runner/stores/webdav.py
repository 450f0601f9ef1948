"""What WebDAV (RFC 4918) adds to HTTP for a store: listing folders, and making them."""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as ET  # bodies that declare entities are refused before they are parsed
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import unquote, urlsplit

from nbstep_runner.errors import BadInputError

PROPFIND: Final = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>'
    b"<resourcetype/><getcontentlength/><getetag/><getlastmodified/></prop></propfind>"
)
_DAV: Final = "{DAV:}"
_REFUSED: Final = (b"<!DOCTYPE", b"<!ENTITY", b"\0")
"""What declares entities, also in an encoding of two bytes a character, where it would not be seen."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A member of a folder.

    Attributes:
        name: Relative to the folder; ends with ``/`` for a folder.
    """

    name: str
    size: int
    etag: str
    modified: float | None


def entries(body: bytes, folder: str) -> list[Entry]:
    """The members of a folder, in the order that their names sort in.

    Args:
        body: A multi-status answer with depth 1.
        folder: The URI that was asked for; it ends with ``/``.

    Raises:
        BadInputError: The body is not such an answer.
    """
    own = _path(folder)
    found = (_entry(answer, own) for answer in _answers(body))
    return sorted((entry for entry in found if entry), key=lambda entry: entry.name)


def entity_tag_of(entry: Entry) -> str | None:
    """The entity tag that nginx makes (``ngx_http_set_etag``): the second of the last change and the size, in hex."""
    return None if entry.modified is None else f'"{int(entry.modified):x}-{entry.size:x}"'


def is_folder(body: bytes) -> bool:
    """Whether a multi-status answer with depth 0 speaks of a folder."""
    return any(answer.find(f".//{_DAV}collection") is not None for answer in _answers(body))


def _answers(body: bytes) -> Iterator[ET.Element]:
    if any(mark in body for mark in _REFUSED):
        raise BadInputError("The listing declares a document type, and is refused.")
    try:
        return ET.fromstring(body).iter(f"{_DAV}response")  # noqa: S314 - entities cannot be declared, see above
    except ET.ParseError as error:
        raise BadInputError("The listing is not XML.", hint="Check that the server speaks WebDAV.") from error


def _entry(answer: ET.Element, own: str) -> Entry | None:
    """A direct member; nothing for the folder itself and for what is not below it."""
    path = _path(answer.findtext(f"{_DAV}href", ""))
    name = path.removeprefix(own)
    if not path.startswith(own) or not name or "/" in name.rstrip("/") or name.rstrip("/") in {".", ".."}:
        return None
    is_folder = answer.find(f".//{_DAV}collection") is not None
    return Entry(
        name=f"{name.rstrip('/')}/" if is_folder else name,
        size=_size(answer.findtext(f".//{_DAV}getcontentlength")),
        etag=answer.findtext(f".//{_DAV}getetag") or "",
        modified=_time(answer.findtext(f".//{_DAV}getlastmodified")),
    )


def _path(uri: str) -> str:
    """The path of a URI; empty where it is none."""
    try:
        return unquote(urlsplit(uri).path)
    except ValueError:
        return ""


def _size(text: str | None) -> int:
    try:
        return max(0, int(text or ""))
    except ValueError:
        return 0


def _time(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def parents(path: str) -> list[str]:
    """The folders above a path, outermost first; each ends with ``/``."""
    above = posixpath.dirname(path.rstrip("/"))
    return [] if above in {"", "/"} else [*parents(above), f"{above}/"]
