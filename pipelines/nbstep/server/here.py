"""The service on one's own machine: the configuration that follows from the profiles, and a server for whoever has it.

What a team writes into a file is known here: the folder of runs, the profiles by their names, the working directory.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from nbstep.backends.reach import Packages, reach_of
from nbstep.backends.registry import backend_named
from nbstep.backends.stores import named_runs
from nbstep.profiles import Profile, load_profile, profile_names
from nbstep.profiles.service import SCHEME
from nbstep.profiles.storage import DEFAULT_RUNS, absolute, folder_of_user
from nbstep.server.access import LocalAccess, new_token
from nbstep.server.app import application
from nbstep.server.config import Config, Folder
from nbstep.server.following import Streams
from nbstep.server.listening import Server, listening_socket
from nbstep_runner.errors import UsageError

FOLDER: Final = "runs"
UNNAMED: Final = "default"
"""What the profile is called that is meant where none is named."""
OPEN: Final = ("deadlines.run", "deadlines.cell", "env", "collect", "state")
OPEN_IN_IMAGES: Final = ("image", "resources")
OPEN_ON_CLUSTERS: Final = ("retries", "kubernetes.queue", "kubernetes.queue_priority", "kubernetes.priority_class")
"""Fields of profiles that forms ask for: of any, of those whose runs take images, and of those on clusters."""


def config_here(chosen: Profile, name: str | None) -> Config:
    """What a server is told that serves its own user.

    Args:
        chosen: The profile whose folder of runs is shown, and which is used where a request names none.
        name: Its name; ``None`` where the command line named none.

    Raises:
        UsageError: The folder is a service's, which shows it itself.
    """
    if _of_a_service(chosen):
        address = f"{chosen.service.url}/" if chosen.service is not None else "the service's address"
        raise UsageError("these runs are a service's, which has pages of its own", hint=f"Open {address}.")
    others = {each: load_profile(each, {}) for each in profile_names()}
    first = name or UNNAMED
    profiles = {first: chosen}
    profiles |= {each: one for each, one in others.items() if each != first and _is_offered(one)}
    folder = Folder(uri=absolute(named_runs(chosen) or DEFAULT_RUNS), profiles=tuple(profiles), storage=chosen.storage)
    opened = {each: _opened(one) for each, one in profiles.items()}
    cache = folder_of_user("XDG_CACHE_HOME", "~/.cache") / "nbstep"
    return Config(
        folders={FOLDER: folder}, notebooks=(str(Path.cwd()),), profiles=profiles, open=opened, cache=str(cache)
    )


def _opened(profile: Profile) -> tuple[str, ...]:
    """The fields of a profile that a form asks for: those that its place heeds and that one line can say."""
    with suppress(UsageError):  # its place is not installed here: that is told once a run is started there
        packages = reach_of(backend_named(profile.on), profile).packages
        in_image = OPEN_IN_IMAGES if profile.image is not None and packages is not Packages.INSTALLED else ()
        return (*OPEN, *in_image, *(OPEN_ON_CLUSTERS if packages is Packages.PUBLISHED else ()))
    return OPEN


def _is_offered(profile: Profile) -> bool:
    """Whether runs of a profile can lie in a folder that is served here."""
    with suppress(UsageError):  # its place is not installed here: that is told once a run is started there
        return not _of_a_service(profile)
    return True


def _of_a_service(profile: Profile) -> bool:
    """Whether its runs lie at another service: none of them can lie in a folder that is served here.

    Raises:
        UsageError: Its place is not installed here.
    """
    return (named_runs(profile) or "").startswith(SCHEME)


def serve_here(config: Config, port: int, tell: Callable[[str], None]) -> None:
    """Serve on loopback until SIGINT or SIGTERM.

    Args:
        config: What is served.
        port: 0 takes a free one.
        tell: Is told the address, with the token, once it can be opened.

    Raises:
        UsageError: The port is taken.
    """
    token, streams = new_token(), Streams(config.limits.streams)
    access = LocalAccess(application(config, streams), token, getpass.getuser())
    try:
        listening = listening_socket("127.0.0.1", port)
    except OSError as error:
        hint = "Choose another with --port, or leave it out: a free one is taken."
        reason = os.strerror(error.errno or 0)
        raise UsageError(f"port {port} cannot be listened on: {reason}", hint=hint) from None
    with closing(listening):
        tell(f"http://127.0.0.1:{listening.getsockname()[1]}/?token={token}")
        Server(access, streams).run([listening])
