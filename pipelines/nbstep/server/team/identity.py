"""Who a caller is: by a token of a file, by one that a cluster reviews, or by the word of a proxy."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import msgspec

from nbstep.profiles.schema import ClosedSchema
from nbstep.profiles.strict_yaml import load_file
from nbstep.server.access import new_token
from nbstep.server.config import ProxyAccess
from nbstep.server.problems import Problem, forbidden
from nbstep.server.team.remembered import Answer
from nbstep_runner.errors import BadInputError

if TYPE_CHECKING:
    from starlette.datastructures import Headers

GROUP: Final = "group:"
"""How a group is written in a list of callers."""
LONGEST_NAME: Final = 253
OF_THE_CLUSTER: Final = "system:"
"""How the names begin of users and groups that a cluster makes itself: nobody else's word makes anybody one of them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller.

    Attributes:
        name: What the caller is called in configurations, labels and audit lines.
        groups: Those that the caller is in.
        reviewed: What a cluster is asked about; ``None`` of somebody whom no cluster knows.
    """

    name: str
    groups: tuple[str, ...] = ()
    reviewed: Any = None


def new_entry() -> str:
    """A token that nobody guesses, and what the file of tokens holds of it."""
    token = new_token()
    return f"token: {token}\nsha256: {digest(token)}"


class _Token(ClosedSchema, frozen=True):
    """A token of the file: who has it, and its SHA-256, which only suits tokens that nobody can guess."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    groups: tuple[str, ...] = ()
    until: datetime | None = None


class _Tokens(ClosedSchema, frozen=True):
    tokens: tuple[_Token, ...] = ()


class Reviewer(Protocol):
    """Asks elsewhere who has a token, and remembers the answer for a while."""

    def identity(self, token: str) -> Identity | None:
        """Who has that token; ``None`` if nobody does. May block.

        Raises:
            NbstepError: It cannot be found out now.
        """
        ...

    def remembered(self, token: str) -> Answer[Identity | None] | None:
        """What was answered of that token and still holds; ``None`` if it has to be asked. Does not block."""
        ...


class FileOfTokens:
    """Callers of a file of hashed tokens, which is read anew when it changes.

    Args:
        file: YAML: ``tokens:``, each with a ``name``, the ``sha256`` of the token, and perhaps ``groups`` and
            ``until``, when it ends.

    Raises:
        BadInputError: It cannot be read, or does not fit.
        InputNotFoundError: There is no such file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: dict[str, _Token] = {}
        self._lock = threading.Lock()
        self._refresh()

    def identity(self, token: str) -> Identity | None:
        """Who has that token; ``None`` if nobody does. May block.

        Raises:
            NbstepError: The file cannot be read now. Who is taken out of it must not come in meanwhile.
        """
        found = self._refresh().get(digest(token))
        if found is None or (found.until is not None and _as_utc(found.until) <= datetime.now(UTC)):
            return None
        return Identity(found.name, found.groups)

    def _refresh(self) -> dict[str, _Token]:
        """The tokens of the file as it is now. One thread at a time: none keeps what it read before another."""
        with self._lock:
            stamp = self._stamp_now()
            if stamp is None or stamp != self._stamp:
                self._tokens = _read_tokens(self._file)
                self._stamp = stamp
            return self._tokens

    def _stamp_now(self) -> tuple[int, int, int] | None:
        """What changes when the file does; ``None`` where it cannot be seen: reading it tells why."""
        try:
            stat = self._file.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size


class Proxy:
    """Callers whom a proxy names."""

    def __init__(self, access: ProxyAccess) -> None:
        self._networks = [ip_network(address) for address in access.addresses]
        self._user = access.user.lower()
        self._groups = access.groups.lower()

    def identity(self, address: str, headers: Headers) -> Identity | None:
        """Whom the proxy names; ``None`` if it names nobody, or the request does not come from it.

        Raises:
            Problem: It names somebody in a way that is not believed, such as one that others could have forged.
        """
        names, groups = headers.getlist(self._user), headers.getlist(self._groups)
        if not names or not self._is_it(address):
            return None
        if len(names) > 1 or len(groups) > 1:
            raise _unbelieved("twice")
        name = _as_utf8(names[0]).strip()
        members = tuple(each for value in groups for group in _as_utf8(value).split(",") if (each := group.strip()))
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise _unbelieved(
                f"by what is no name: it is empty, not printable, or longer than {LONGEST_NAME} characters"
            )
        if any(each.startswith(OF_THE_CLUSTER) for each in (name, *members)):
            raise _unbelieved("by a name that only a cluster gives")
        return Identity(name, members, {"user": name, "groups": [*members, "system:authenticated"]})

    def _is_it(self, address: str) -> bool:
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self._networks)


def _as_utf8(header: str) -> str:
    """A header's value as the proxy meant it: HTTP hands its bytes over as Latin-1.

    Raises:
        Problem: It is not UTF-8.
    """
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        raise _unbelieved("in another encoding than UTF-8") from None


def _unbelieved(how: str) -> Problem:
    return forbidden(f"the proxy names a caller {how}")


def _read_tokens(file: Path) -> dict[str, _Token]:
    try:
        written = msgspec.convert(load_file(file, what="file of tokens"), _Tokens)
    except msgspec.ValidationError as error:
        hint = "It holds `tokens:`, each with a name and the sha256 of a token; `nbstep server --new-token` makes one."
        raise BadInputError(f"{file} does not fit: {error}", hint=hint) from None
    return {each.sha256: each for each in written.tokens}


def digest(token: str) -> str:
    """What is kept of a token. It suits tokens that nobody can guess; words of people need a slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def _as_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
