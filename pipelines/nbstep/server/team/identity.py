"""Who a caller is: by a token of a file, by one that a cluster reviews, or by the word of a proxy."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import msgspec

from nbstep.profiles.schema import ClosedSchema
from nbstep.profiles.strict_yaml import load
from nbstep.server.access import new_token
from nbstep.server.config import ProxyAccess
from nbstep.server.problems import Problem
from nbstep_runner.errors import BadInputError, InputNotFoundError, NbstepError

if TYPE_CHECKING:
    from starlette.datastructures import Headers

_LOG: Final = logging.getLogger("nbstep")
GROUP: Final = "group:"
"""How a group is written in a list of callers."""
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

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    groups: tuple[str, ...] = ()
    until: datetime | None = None


class _Tokens(ClosedSchema, frozen=True):
    tokens: tuple[_Token, ...] = ()


class ByToken(Protocol):
    """Knows callers by their tokens."""

    def identity(self, token: str) -> Identity | None:
        """Who has that token; ``None`` if nobody does. May block.

        Raises:
            NbstepError: It cannot be found out now.
        """
        ...


class FileOfTokens:
    """Callers of a file of hashed tokens, which is read anew when it changes.

    Args:
        file: YAML: ``tokens:``, each with a ``name``, the ``sha256`` of the token, and perhaps ``groups`` and
            ``until``, when it ends.

    Raises:
        BadInputError: It does not fit.
        InputNotFoundError: There is no such file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: dict[str, _Token] = {}
        self._refresh()

    def identity(self, token: str) -> Identity | None:
        """See :class:`ByToken`."""
        try:
            self._refresh()
        except NbstepError as error:  # somebody is about to change it; who is taken out of it must not come in
            _LOG.error("no token is taken: %s", error.message)
            detail = "the server's file of tokens cannot be read; its log says why"
            raise Problem(status=503, reference="internal", detail=detail, headers={"Retry-After": "5"}) from None
        found = self._tokens.get(digest(token))
        if found is None or (found.until is not None and _as_utc(found.until) <= datetime.now(UTC)):
            return None
        return Identity(found.name, found.groups)

    def _refresh(self) -> None:
        try:
            stat = self._file.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if stamp != self._stamp:
                self._tokens = _read_tokens(self._file)
                self._stamp = stamp
        except FileNotFoundError:
            raise InputNotFoundError(f"there is no file of tokens {self._file}") from None


class Proxy:
    """Callers whom a proxy names."""

    def __init__(self, access: ProxyAccess) -> None:
        self._networks = [ip_network(address) for address in access.addresses]
        self._user = access.user.lower()
        self._groups = access.groups.lower()

    def identity(self, address: str, headers: Headers) -> Identity | None:
        """Whom the proxy names; ``None`` if it names nobody, or the request does not come from it.

        Raises:
            Problem: It names somebody in a way that others could have forged.
        """
        names, groups = headers.getlist(self._user), headers.getlist(self._groups)
        if not names or not self._is_it(address):
            return None
        members = tuple(group.strip() for value in groups for group in value.split(",") if group.strip())
        name = names[0].strip()
        made = any(each.startswith(OF_THE_CLUSTER) for each in (name, *members))
        if len(names) > 1 or len(groups) > 1 or not name or len(name) > 253 or not name.isprintable() or made:
            detail = "the proxy names a caller twice, or by a name that only a cluster gives"
            raise Problem(status=403, reference="forbidden", detail=detail)
        return Identity(name, members, {"user": name, "groups": [*members, "system:authenticated"]})

    def _is_it(self, address: str) -> bool:
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self._networks)


def _read_tokens(file: Path) -> dict[str, _Token]:
    try:
        written = msgspec.convert(load(file.read_bytes(), where=str(file)), _Tokens)
    except msgspec.ValidationError as error:
        hint = "It holds `tokens:`, each with a name and the sha256 of a token; `nbstep server --new-token` makes one."
        raise BadInputError(f"{file} does not fit: {error}", hint=hint) from None
    return {each.sha256: each for each in written.tokens}


def digest(token: str) -> str:
    """What is kept of a token. It suits tokens that nobody can guess; words of people need a slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def _as_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
