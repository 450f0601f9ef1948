"""A team's service as the place of runs, as closed data: where it is, and where a token for it is found."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast
from urllib.parse import urlsplit

import msgspec

from nbstep.profiles.schema import ClosedSchema
from nbstep_runner.errors import BadInputError

if TYPE_CHECKING:
    from nbstep_runner.parameters import SecretReference

SCHEME: Final = "server://"
"""What the URIs of a service's folders and runs begin with."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$")]


class TokenPlace(ClosedSchema, frozen=True):
    """Where a token is found; never the token.

    Attributes:
        secret: ``env:NAME`` or ``file:/path``.
    """

    secret: str

    def __post_init__(self) -> None:
        """Check the place; what is given may be the token itself, so it is not repeated."""
        try:
            self.reference  # noqa: B018 - made to be checked
        except BadInputError:
            raise ValueError("a token is named, never written: {secret: env:NAME} or {secret: file:/path}") from None

    @property
    def reference(self) -> SecretReference:
        """The same as parameters have it."""
        from nbstep_runner.parameters import SecretReference  # most profiles have no token

        source, _, name = self.secret.partition(":")
        return SecretReference(cast("Literal['env', 'file']", source), name)


class ServiceOptions(ClosedSchema, frozen=True):
    """The part of a profile that only runs through a service read.

    Attributes:
        url: Where the service is, with its prefix: ``https``, or ``http`` on this machine alone.
        folder: One of the service's folders of runs.
        profile: One of the service's own profiles; the folder's first if ``None``.
        token: Sent to this service and to nobody else; none is if ``None``.
        named: The profile's fields that its file or a call gives a value, such as ``resources.cpu``: the service is
            asked for them, whatever is usual. Filled in where a profile is read, and written nowhere.
    """

    url: str
    folder: Name = "runs"
    profile: str | None = None
    token: TokenPlace | None = None
    named: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that a token would be safe on the way there."""
        msgspec.structs.force_setattr(self, "url", _checked(self.url))

    @property
    def root(self) -> str:
        """What the URIs of all its folders begin with."""
        return f"{SCHEME}{self.url.partition('://')[2]}"

    @property
    def runs(self) -> str:
        """The folder of all runs, as a URI."""
        return f"{self.root}/{self.folder}"


def origin_of(url: str) -> str:
    """The origin of a URL as browsers write it: in lower case, without the port that is meant anyway.

    Raises:
        ValueError: It names no host, or a port that is none.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("it names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _checked(url: str) -> str:
    """A service's URL in the one way in which it is written.

    Raises:
        ValueError: It is none, or what is sent there could be read on the way.
    """
    parts = urlsplit(url)
    plain = url.isprintable() and url.isascii() and " " not in url
    if parts.scheme not in DEFAULT_PORTS or not plain or "@" in parts.netloc or "?" in url or "#" in url:
        raise ValueError("a service's url is https://HOST, perhaps with a port and a path, and nothing else")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError("a service is reached by https; by http on this machine alone")
    return origin_of(url) + parts.path.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
