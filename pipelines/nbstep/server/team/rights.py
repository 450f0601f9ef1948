"""What a caller may do in a folder: by the configuration's lists, or as a cluster lets them handle Jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from nbstep.server.callers import Right
from nbstep.server.config import Config, Folder
from nbstep.server.team.identity import GROUP, Identity
from nbstep.server.team.remembered import Remembered

VERBS: Final = {Right.READ: "get", Right.SUBMIT: "create"}
"""What a right is on the Jobs of a folder's namespace."""
Allows = Callable[[dict[str, Any]], bool]
"""Whether a cluster allows what the spec of a SubjectAccessReview asks."""


class Rights:
    """Decides by what the server's configuration and the cluster say; nothing that lies in a folder is asked.

    Args:
        config: Its folders, and how callers are known.
        allows: Asks the cluster; ``None`` where there is none to ask.
    """

    def __init__(self, config: Config, allows: Allows | None) -> None:
        access = config.access and config.access.kubernetes
        self._folders = config.folders
        self._allows = allows
        self._known: Remembered[bool] = Remembered(access.cache_seconds if access else 0.0)

    def may(self, who: Identity, folder: str, right: Right) -> bool:
        """Whether a caller has a right in a folder of the configuration. May block.

        Raises:
            NbstepError: The cluster does not say so now; that is no right.
        """
        asked = self._folders[folder]
        if _is_listed(who, asked, right):
            return True
        allows = self._allows
        if asked.namespace is None or allows is None or who.reviewed is None:
            return False
        attributes = {"namespace": asked.namespace, "group": "batch", "resource": "jobs", "verb": VERBS[right]}
        spec = {**who.reviewed, "resourceAttributes": attributes}
        return self._known.get(msgspec.json.encode(spec), lambda: allows(spec))


def _is_listed(who: Identity, folder: Folder, right: Right) -> bool:
    listed = folder.readers if right is Right.READ else folder.submitters
    named = who.name in listed and not who.name.startswith(GROUP)
    return named or any(f"{GROUP}{group}" in listed for group in who.groups)
