"""Following a run's log through broken connections and servers that were restarted: each line once, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from nbstep.backends.server.answers import error_told, no_service
from nbstep.backends.server.client import AwayError, Patience, Service
from nbstep.backends.server.interface import EVENT_ID
from nbstep.errors import ServiceUnavailableError

LONGEST_EVENT: Final = 2**26
"""Bytes of one event."""
REMEMBERED: Final = 1000
"""Lines without a number by which a repetition is known."""
Number = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    name: str
    data: bytes
    id: str


def events(chunks: Iterable[bytes], url: str) -> Iterator[Event]:
    """The events of a stream; one that is cut off is none.

    Raises:
        ServiceUnavailableError: One is larger than any event.
    """
    fields: dict[str, bytes] = {}
    for line in _lines(chunks, url):
        if line:
            name, _, value = line.partition(b":")
            fields[name.decode("ascii", "replace")] = value.removeprefix(b" ")
        elif fields:
            name_of, identity = (fields.get(name, b"").decode("ascii", "replace") for name in ("event", "id"))
            yield Event(name_of, fields.get("data", b""), identity)
            fields = {}


def _lines(chunks: Iterable[bytes], url: str) -> Iterator[bytes]:
    begun = bytearray()
    for chunk in chunks:
        begun += chunk
        if b"\n" in chunk:
            *whole, rest = bytes(begun).split(b"\n")
            yield from (line.removesuffix(b"\r") for line in whole)
            begun = bytearray(rest)
        if len(begun) > LONGEST_EVENT:
            raise ServiceUnavailableError(f"the service at {url} tells of a line that is too long to be one")


def _heard(service: Service, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Iterator[Event]:
    """The events of one connection, up to the end of what it tells of.

    Raises:
        AwayError: It broke off before.
        NbstepError: Why the service can tell no more.
    """
    with service.stream(path, query, headers) as chunks:
        for event in events(chunks, service.url):
            if event.name == "end":
                return
            if event.name == "problem":
                raise error_told(500, event.data, service.url)
            yield event
    raise AwayError(ServiceUnavailableError(f"the service at {service.url} ended a stream before its run"))


class Follower:
    """Follows one run.

    Args:
        service: Where it is.
        path: Of the run's events.
        query: Of their address.
    """

    def __init__(self, service: Service, path: str, query: Mapping[str, str]) -> None:
        self._service = service
        self._path = path
        self._query = query
        self._last: Number = (0, 0)
        self._others: deque[bytes] = deque(maxlen=REMEMBERED)
        self._broken = False

    def lines(self) -> Iterator[bytes | None]:
        """Every line until the run has ended; a connection that breaks is made anew, and goes on where it was.

        ``None`` says that there is nothing new.

        Raises:
            ServiceUnavailableError: The service was away for longer than its patience.
            NbstepError: Why the service cannot follow the run.
        """
        patience = Patience(self._service.patience)
        while True:
            try:
                for event in _heard(self._service, self._path, self._query, self._resumed()):
                    patience.renew()  # a comment too says that the service is there
                    if event.name == "line":
                        yield from self._line(event)
                    else:
                        yield None
            except AwayError as away:
                self._broken = True
                yield None
                patience.wait(away)
            else:
                return

    def _resumed(self) -> dict[str, str]:
        return {"Last-Event-ID": f"{self._last[0]}-{self._last[1]}"} if self._last != (0, 0) else {}

    def _line(self, event: Event) -> Iterator[bytes]:
        """The line that an event brings, unless it has come before."""
        line = checked_line(event.data, self._service.url)
        found = EVENT_ID.fullmatch(event.id)
        if found is None:
            repeated = self._broken and line in self._others
            self._others.append(line)
            if not repeated:
                yield line
        elif (number := (int(found[1]), int(found[2]))) > self._last:
            self._last = number
            yield line


def lines_so_far(service: Service, path: str, query: Mapping[str, str]) -> Iterator[bytes]:
    """Every line that there is; where a connection breaks, those that have come are passed over in the next.

    Raises:
        NbstepError: As of :meth:`Follower.lines`.
    """
    come, patience = 0, Patience(service.patience)
    while True:
        lines = (each for each in _heard(service, path, {**query, "follow": "false"}, {}) if each.name == "line")
        try:
            for number, event in enumerate(lines, 1):
                if number > come:
                    come = number
                    patience.renew()
                    yield checked_line(event.data, service.url)
        except AwayError as away:
            patience.wait(away)
        else:
            return


def checked_line(data: bytes, url: str) -> bytes:
    """The same, once it is known to be a line of a log: an object of JSON.

    Raises:
        ServiceUnavailableError: It is none.
    """
    try:
        members: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise no_service(url)
    return data
