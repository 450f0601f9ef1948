"""The daemon's API, and its errors as ours. The only module that imports the docker SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import takewhile
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, Final

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from nbstep.errors import ClusterUnavailableError, NotStartedError, RunNotFoundError
from nbstep_runner.errors import InternalError, OutputConflictError

CONFLICT: Final = 409
QUIET_SECONDS: Final = 1.0
AHEAD: Final = 64
"""Pieces of a log that wait for their reader."""


class Engine:
    """A connection to the daemon.

    Raises:
        ClusterUnavailableError: From every method: the daemon does not answer.
    """

    def __init__(self) -> None:
        with _errors("connecting"):
            self._api = docker.from_env().api

    def provide(self, image: str, *, pull: bool) -> None:
        """Pull the image if it is not here, or in any case if asked to.

        Raises:
            NotStartedError: It cannot be had.
        """
        with _errors("looking for the image"), suppress(ImageNotFound):
            self._api.inspect_image(image)
            if not pull:
                return
        try:
            with _errors("pulling the image"):
                self._api.pull(image)
                self._api.inspect_image(image)  # a pull that failed half-way ends without an error
        except (ImageNotFound, InternalError) as error:
            raise NotStartedError(f"the image {image} cannot be had: {_explained(error)}") from error

    def create(self, name: str, request: dict[str, Any]) -> None:
        """Create a container.

        Raises:
            OutputConflictError: There is one of that name.
            InternalError: The daemon refuses the request.
        """
        try:
            with _errors("creating the container"):
                self._api.create_container_from_config(request, name)
        except _ConflictError:
            raise OutputConflictError(
                f"another container {name} is there", hint="Choose another run id, or leave it out and get a new one."
            ) from None

    def start(self, name: str) -> None:
        """Start it; one that runs or has ended stays as it is.

        Raises:
            NotStartedError: The daemon cannot start it.
        """
        if self.inspect(name)["State"]["Status"] != "created":
            return
        try:
            with _errors("starting the container"):
                self._api.start(name)
        except (InternalError, RunNotFoundError) as error:
            self.remove(name)
            raise NotStartedError(f"the container cannot be started: {error.message}") from error

    def inspect(self, name: str) -> dict[str, Any]:
        """What the daemon knows of a container.

        Raises:
            RunNotFoundError: Nothing.
        """
        with _errors("asking for the container"):
            found: dict[str, Any] = self._api.inspect_container(name)
            return found

    def ended(self, label: str) -> list[str]:
        """The ids of the containers with a label that have ended."""
        with _errors("listing containers"):
            found = self._api.containers(all=True, filters={"label": label, "status": ["exited", "dead"]})
        return [each["Id"] for each in found]

    def signal(self, name: str, signal: str) -> None:
        """Send the first process a signal; nothing happens to a container that has ended."""
        with suppress(_ConflictError), _errors("sending a signal"):
            try:
                self._api.kill(name, signal)
            except APIError as error:
                if error.status_code != CONFLICT and "not running" not in str(error.explanation):
                    raise

    def stop(self, name: str, seconds: int) -> None:
        """Ask it to end, wait for that, and kill it after so many seconds; it does not start again by itself."""
        with _errors("stopping the container"):
            self._api.stop(name, timeout=seconds)

    def remove(self, name: str) -> None:
        """Remove a container and what it wrote to its own volumes; none there, or one that goes, is as good."""
        with suppress(_ConflictError), _errors("removing the container"), suppress(NotFound):
            self._api.remove_container(name, v=True, force=True)

    def output(self, name: str, *, follow: bool, since: float | None) -> Iterator[bytes | None]:
        """What the container writes to stdout since then: pieces of lines, each with its time before it.

        ``None`` says that nothing has come for a while. The connection ends with the iterator.
        """
        with _errors("reading the log"):
            stream = self._api.logs(
                name, stdout=True, stderr=False, stream=True, follow=follow, timestamps=True, since=since
            )
            yield from _paced(stream) if follow else stream

    def errors(self, name: str) -> bytes:
        """What the container wrote to stderr."""
        with _errors("reading the log"):
            written: bytes = self._api.logs(name, stdout=False, stderr=True)
            return written


def _paced(stream: Any) -> Iterator[bytes | None]:
    """What comes of a stream, whose reader the SDK lets wait without end, and ``None`` whenever nothing does."""
    pieces: Queue[bytes | Exception | None] = Queue(AHEAD)
    closed = Event()

    def put(piece: bytes | Exception | None) -> None:
        while not closed.is_set():
            with suppress(Full):
                pieces.put(piece, timeout=QUIET_SECONDS)
                return

    def copy() -> None:
        try:
            for piece in takewhile(lambda _: not closed.is_set(), stream):  # one by ssh cannot be closed from here
                put(piece)
            put(None)
        except Exception as error:  # noqa: BLE001 - whoever reads has to learn of it, whatever it is
            put(error)

    Thread(target=copy, name="nbstep-docker-log", daemon=True).start()
    try:
        while True:
            try:
                piece = pieces.get(timeout=QUIET_SECONDS)
            except Empty:
                yield None
                continue
            if piece is None:
                return
            if isinstance(piece, Exception):
                raise piece
            yield piece
    finally:
        closed.set()
        with suppress(DockerException, OSError, AttributeError):  # what has ended has no socket any more
            stream.close()


@cache
def engine() -> Engine:
    """The connection, made once."""
    return Engine()


def _explained(error: Exception) -> str:
    return error.message if isinstance(error, InternalError) else str(getattr(error, "explanation", error))


class _ConflictError(Exception):
    """The daemon answered 409."""


@contextmanager
def _errors(doing: str) -> Iterator[None]:
    try:
        yield
    except ImageNotFound:
        raise
    except NotFound as error:
        raise RunNotFoundError(f"the daemon knows no such container: {error.explanation}") from error
    except APIError as error:
        if error.status_code == CONFLICT:
            raise _ConflictError from error
        raise InternalError(
            f"the daemon refused {doing}: {error.explanation}", hint="Correct what it names."
        ) from error
    except (DockerException, requests.RequestException) as error:
        raise ClusterUnavailableError(
            f"no Docker daemon answers while {doing}: {error}",
            hint="Start Docker or podman's socket here, or name a daemon with DOCKER_HOST.",
        ) from error
