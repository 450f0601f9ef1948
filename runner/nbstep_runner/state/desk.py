"""Where a run's state folder lies while it is under way, and where the notebook asks for a save."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from nbstep_runner.errors import StorageUnavailableError, no_temporary_folder
from nbstep_runner.folders import make_folder
from nbstep_runner.state import RESTORED, SOCKET, VARIABLE

ASKING_SECONDS: Final = 10.0
"""For whoever has connected to say what is wanted."""
LONGEST_REQUEST: Final = 64


class Desk:
    """A private folder with the state folder in it; ``token`` is the run's.

    Raises:
        StorageUnavailableError: No temporary folder can be written.
    """

    def __init__(self, token: str) -> None:
        try:
            self._around = make_folder(token, "state", for_sockets=True)
            self.folder = self._around / "state"
            self.folder.mkdir(mode=0o700)
        except OSError as error:
            raise no_temporary_folder(error) from error
        self._listener: socket.socket | None = None

    @property
    def variables(self) -> dict[str, str]:
        """What the kernel finds in its environment."""
        return {VARIABLE: str(self.folder)}

    def open(self, save: Callable[[], bool], *, restored: bool) -> None:
        """Let saves be asked for from now on, by any process of the notebook, one after another.

        Args:
            save: Saves, and says whether that went well; called from a thread of its own.
            restored: Whether the folder was.

        Raises:
            StorageUnavailableError: No socket can be made there.
        """
        try:
            if restored:
                (self._around / RESTORED).touch()
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self._around / SOCKET))
            self._listener.listen()
        except OSError as error:
            raise StorageUnavailableError(f"the state cannot be kept here: {error.strerror or error}") from error
        threading.Thread(target=self._serve, args=(self._listener, save), name="nbstep-save", daemon=True).start()

    def close(self) -> None:
        """Remove all of it."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits there
            self._listener.close()
        shutil.rmtree(self._around, ignore_errors=True)

    def _serve(self, listener: socket.socket, save: Callable[[], bool]) -> None:
        while True:
            try:
                asking, _ = listener.accept()
            except OSError:  # closed
                return
            with asking, suppress(OSError):  # whoever asked may be gone
                asking.settimeout(ASKING_SECONDS)
                if asking.recv(LONGEST_REQUEST) == b"save\n":
                    asking.sendall(json.dumps({"saved": save()}).encode() + b"\n")
