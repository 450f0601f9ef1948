"""Names of objects: which are refused, which lie beside each other, and how they may be shown.

Rules for names follow RFC 3986 for URIs with a host (``sftp``, ``http``) and RFC 8089 for ``file``; object stores take
the key as it stands, without percent-decoding, as their own tools do.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from nbstep_runner.errors import BadInputError

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<slashes>//)?")
_HIDDEN = "***"
_URI_IN_TEXT = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,60})://(?P<rest>[^\s\"'<>]+)")  # unbounded: quadratic
_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_VALUE = re.compile(r"(?<=[?&;#])([^=&;#\s]+)=([^&;#\s]*)")
_BARE = re.compile(r"(?:^|(?<=[&;]))[^=&;#\s]+(?=[&;#]|$)")
_IPV6_HOST = re.compile(r"(://(?:[^/@]*@)?)\[[0-9A-Fa-f:.]+\]")
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_USER_IS_A_SECRET = frozenset({"http", "https"})
_WITH_QUERY = frozenset({"http", "https"})
_SIGNATURES = frozenset({"x-amz-signature", "x-goog-signature", "signature", "sig"})
_ROUNDS_OF_DECODING = 8
_WITH_PORT = frozenset({"http", "https", "sftp"})


def scheme_of(uri: str) -> str:
    """The scheme in lower case; ``file`` for a plain path."""
    found = _SCHEME.match(uri)
    return found["scheme"].lower() if found and found["slashes"] else "file"


def is_plain_path(uri: str) -> bool:
    """Whether a person typed a path, with no scheme."""
    found = _SCHEME.match(uri)
    return not (found and found["slashes"])


def is_remote(uri: str) -> bool:
    """Whether reaching it takes a network; a mounted folder counts as near."""
    return scheme_of(uri) not in {"file", "memory"}


def is_signed(uri: str) -> bool:
    """Whether a query carries a signature, which opens one object and none beside it."""
    names = {pair.partition("=")[0].lower() for pair in re.split(r"[?&]", _split_query(uri)[1])}
    return not _SIGNATURES.isdisjoint(names)


def checked(uri: str) -> str:
    """The same URI, once it is known to name an object in one plain way.

    Raises:
        BadInputError: It is empty, chains filesystems, holds format fields, control or direction-changing characters,
            climbs with ``..``, or has a scheme without ``//``.
    """
    problem = _problem(uri)
    if problem:
        raise BadInputError(f"{shown(uri)!r} is refused: {problem}.", hint="Name the object by one plain path or URI.")
    return uri


def _problem(uri: str) -> str:
    if not uri:
        return "it is empty"
    if any(ord(char) < 32 or ord(char) == 127 or char in _BIDI for char in uri):  # ASCII control characters
        return "it holds control characters"
    if "::" in _IPV6_HOST.sub(r"\1", uri):
        return "'::' chains filesystems"
    if "{" in uri or "}" in uri:
        return "'{}' format fields are not filled in"
    return _plain_problem(uri) if is_plain_path(uri) else _segment_problem(uri)


def _plain_problem(path: str) -> str:
    if _SCHEME.match(path):
        return "it looks like a scheme without '//'; write ./ before a file name that holds a colon"
    return ""


def _segment_problem(uri: str) -> str:
    rest = uri.split("://", 1)[1]
    if re.search(r"[\s\"'<>]", re.split(r"[/?#]", rest)[0]):
        return "its host holds spaces or quotes"
    if not _has_authority(uri):
        return "its host or port is not valid"
    segments = re.split(r"[/\\?#]", rest)
    climbs = any(map(_climbs, segments))
    return "'..' and '.' segments are not followed in a URI" if climbs else ""


def _has_authority(uri: str) -> bool:
    """Whether the part before the path can be taken apart; elsewhere than at servers, what follows ``:`` is no port."""
    try:
        parts = urlsplit(uri)
        return scheme_of(uri) not in _WITH_PORT or parts.port is None or bool(parts.hostname)
    except ValueError:
        return False


def _climbs(segment: str) -> bool:
    """Whether a layer below could decode it to ``.`` or ``..``; what is encoded more often than anybody does may."""
    plain = _decoded(segment)
    return plain in {".", ".."} or unquote(plain) != plain


def _decoded(segment: str) -> str:
    """Percent-decoded until nothing changes, so that no layer below can decode it to something else."""
    for _ in range(_ROUNDS_OF_DECODING):
        segment = unquote(segment)
    return segment


def shown(uri: str) -> str:
    """A name that was refused, fit for a message: redacted, and not longer than a line."""
    text = _URI.sub(_redact_one, uri)
    return text if len(text) <= 200 else text[:197] + "..."


def redact(text: str) -> str:
    """Text with the secrets of every URI in it hidden: passwords, tokens as user names, queries.

    A user name of a scheme that separates it from the password (``sftp``) stays, because it says who connects.
    """
    return _URI_IN_TEXT.sub(_redact_one, text)


def _redact_one(found: re.Match[str]) -> str:
    scheme, rest = found["scheme"], found["rest"]
    end = re.search(r"[/?#]|$", rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    userinfo, at, host = authority.rpartition("@")
    shown_user = _shown_user(scheme.lower(), userinfo) if at else ""
    if not at and (hidden := _without_password(host)) != host:
        return f"{scheme}://{hidden}"
    tail = _VALUE.sub(lambda pair: f"{pair[1]}={_HIDDEN}", tail)
    path, mark, query = tail.partition("?")
    shown_query = _BARE.sub(_HIDDEN, query) if scheme.lower() in _WITH_QUERY else query
    return f"{scheme}://{shown_user}{at}{host}{path}{mark}{shown_query}"


def _without_password(host: str) -> str:
    """A host whose port is no number: a password that held a ``/`` and was not percent-encoded."""
    name, colon, port = host.partition(":")
    return f"{name}:{_HIDDEN}" if colon and not host.startswith("[") and not port.isdigit() else host


def _shown_user(scheme: str, userinfo: str) -> str:
    user, colon, _ = userinfo.partition(":")
    return _HIDDEN if scheme in _USER_IS_A_SECRET else user + (f":{_HIDDEN}" if colon else "")


def canonical(uri: str) -> str:
    """The same for two URIs of one remote object: no user, no query, no default port, what is percent-coded decoded."""
    scheme = scheme_of(uri)
    path, _ = _split_query(uri)
    authority, _, name = path.split("://", 1)[-1].partition("/")
    host = (
        authority.rpartition("@")[2]
        .lower()
        .removesuffix({"http": ":80", "https": ":443", "sftp": ":22"}.get(scheme, ":"))
    )
    return f"{scheme}://{host}/{_decoded(name) if scheme in _WITH_PORT else name}"


def sibling(uri: str, suffix: str) -> str:
    """The object beside another that shares its stem: ``x/out.ipynb`` and ``.result.json`` give ``x/out.result.json``.

    Only the ending ``.ipynb`` is taken off, so that ``model.v1`` and ``model.v2`` never share a record. A query string
    of an ``http(s)`` URI stays where it is, because it may hold the folder's access token.
    """
    path, query = _split_query(uri)
    stem = path[: -len(".ipynb")] if path.lower().endswith(".ipynb") and not path.endswith("/.ipynb") else path
    return f"{stem}{suffix}{query}"


def join(prefix: str, name: str) -> str:
    """An object below a prefix, which may end with ``/`` or not."""
    path, query = _split_query(prefix)
    separator = "" if path.endswith("/") or not path else "/"
    return f"{path}{separator}{name.lstrip('/')}{query}"


def name_below(prefix: str, uri: str) -> str:
    """What follows the prefix in the URI of an object below it, without the query that both may have."""
    return _split_query(uri)[0].removeprefix(_split_query(prefix)[0])


def below(folder: str, path: str) -> str:
    """An object below a folder for a relative path of any characters, such as that of a file which a program has made.

    Where a URI is percent-decoded the path is encoded as a whole, elsewhere only what :func:`checked` refuses; no two
    paths share an object.
    """
    if _is_decoded(folder):
        return join(folder, quote(path))
    return join(folder, re.sub(r"[^\w\-. +=@,()~&!';/\[\]$^]", lambda found: quote(found[0], safe=""), path))


def link_below(folder: str, path: str) -> str:
    """The object that :func:`below` names, as a link in a page that lies beside the folder."""
    beside_it = folder[: folder.partition("?")[0].rfind("/") + 1]
    name = below(folder, path).removeprefix(beside_it)
    return f"./{name if _is_decoded(folder) else quote(name)}"


def _is_decoded(uri: str) -> bool:
    """Whether a URI's path is percent-decoded by whoever opens it; elsewhere it is the object's name as it stands."""
    return scheme_of(uri) in _WITH_PORT or uri.lower().startswith("file:")


def beside(uri: str, name: str) -> str:
    """An object of another name in the same folder; a query stays where it is."""
    path, query = _split_query(uri)
    return f"{path[: path.rfind('/') + 1]}{name}{query}"


def in_bucket(uri: str, *, empty: bool = False) -> tuple[str, str]:
    """The bucket of an object and its name there, which may be empty only for a listing.

    Raises:
        BadInputError: It names none.
    """
    scheme, _, place = checked(uri).partition("://")
    bucket, _, name = place.partition("/")
    if not bucket or not (name or empty):
        raise BadInputError(f"{uri} names no object.", hint=f"Write {scheme.lower()}://bucket/folder/name.")
    return bucket, name


def bucket_of(uri: str) -> str:
    """An object's URI up to its bucket, the scheme as it is written: what a listing names begins as what was asked."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.partition('/')[0]}"


def name_of(uri: str) -> str:
    """The last segment of the path."""
    return PurePosixPath(_split_query(uri)[0]).name


def _split_query(uri: str) -> tuple[str, str]:
    """Path and query; only ``http(s)`` has queries, elsewhere ``?`` is a character of the name."""
    if scheme_of(uri) not in _WITH_QUERY:
        return uri, ""
    found = re.search(r"[?#]", uri)
    return (uri, "") if not found else (uri[: found.start()], uri[found.start() :])
