"""A run in a container as ``docker run`` starts it, with as few rights as a cluster gives it."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from servers.dockerd import Docker
from support import invariants, notebooks, processes
from support.runs import Done

FOLDER: Final = "/data"
RESTRICTED: Final = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=200")


class Container:
    """``docker run IMAGE in.ipynb out.ipynb`` on a folder of this machine, under way."""

    def __init__(
        self, docker: Docker, image: str, folder: Path, *options: str, rights: Sequence[str] = RESTRICTED
    ) -> None:
        self.docker, self.folder, self.name = docker, folder, f"nbstep-test-{secrets.token_hex(6)}"
        own = [option for option in options if option.startswith("--docker-")]
        rest = [option for option in options if option not in own]
        network = [] if any(option.startswith("--docker-network") for option in own) else ["--network=none"]
        self._log = folder / f"{self.name}.log"
        self._began = time.monotonic()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                docker.command(
                    "run",
                    f"--name={self.name}",
                    *rights,
                    *network,
                    *(f"--{option.removeprefix('--docker-')}" for option in own),
                    f"--volume={folder}:{FOLDER}",
                    image,
                    *rest,
                ),
                env=os.environ | docker.environment,
                stdout=log,
                stderr=log,
            )

    @property
    def shown(self) -> str:
        """What the container printed so far."""
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, seconds: float = 30.0) -> None:
        """Wait until the log shows a text."""
        seen = processes.until(lambda: text in self.shown or self.process.poll() is not None, seconds)
        assert seen and text in self.shown, self.shown  # noqa: PT018 - one fact: the text came

    def finish(self, seconds: float = 60.0, *, output: str = "out.ipynb", check: bool = True) -> Done:
        """Wait for the end, and check the promises of every run."""
        code = self.process.wait(seconds)
        done = Done(code, self.shown, "", time.monotonic() - self._began, self.folder / output)
        broken = invariants.violations(done.output, code=code)
        assert not (check and broken), f"{broken}\n{self.shown}"
        return done

    def state(self) -> dict[str, Any]:
        """What the daemon says of the container."""
        state: dict[str, Any] = self.docker.inspect(self.name)["State"]
        return state

    def remove(self) -> None:
        """Remove it, running or not, with what it wrote to its volumes."""
        self.docker.call("rm", "--force", "--volumes", self.name, check=False)
        self.process.wait(20)


def write(folder: Path, cells: Sequence[notebooks.Cell]) -> str:
    """A notebook in the folder, by the name that it has in the container."""
    notebooks.write(folder / "in.ipynb", cells)
    return f"{FOLDER}/in.ipynb"
