"""A cluster asked about callers: who has a token (TokenReview), and what somebody may do (SubjectAccessReview)."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from nbstep.backends.kubernetes.api.cluster import Cluster
from nbstep.backends.kubernetes.api.contexts import context_named
from nbstep.server.config import ClusterAccess
from nbstep.server.team.identity import Identity
from nbstep.server.team.remembered import Answer, Remembered

REVIEW_SECONDS: Final = 10.0
"""How long a cluster is asked that does not answer."""


class Reviews:
    """What a cluster says of callers. Its methods block, and raise an ``NbstepError`` where it does not say so now.

    Raises:
        ClusterDeniedError: No such cluster is known here.
    """

    def __init__(self, access: ClusterAccess) -> None:
        self._audiences = list(access.audiences)
        self._cluster = Cluster(context_named(access.context)[0], patience=REVIEW_SECONDS)
        self._known: Remembered[Identity | None] = Remembered(access.cache_seconds)

    def identity(self, token: str) -> Identity | None:
        """See :class:`~nbstep.server.team.identity.Reviewer`."""
        return self._known.get(_key(token), lambda: self._review(token))

    def remembered(self, token: str) -> Answer[Identity | None] | None:
        """See :class:`~nbstep.server.team.identity.Reviewer`."""
        return self._known.held(_key(token))

    def allows(self, spec: dict[str, Any]) -> bool:
        """Whether it allows what the spec of a SubjectAccessReview asks."""
        status = self._cluster.review("SubjectAccessReview", spec)
        return bool(status.get("allowed")) and not status.get("denied")

    def _review(self, token: str) -> Identity | None:
        asked = {"token": token} | ({"audiences": self._audiences} if self._audiences else {})
        status = self._cluster.review("TokenReview", asked)
        if not status.get("authenticated"):
            return None
        if self._audiences and not set(self._audiences) & set(status.get("audiences") or ()):
            return None  # an authenticator that knows nothing of audiences has passed it
        user = status.get("user") or {}
        name, groups = str(user.get("username") or ""), tuple(user.get("groups") or ())
        spec = {"user": name, "groups": list(groups), "uid": user.get("uid") or "", "extra": user.get("extra") or {}}
        return Identity(name, groups, spec) if name else None


def _key(token: str) -> bytes:
    """What is remembered of a token: not itself."""
    return hashlib.sha256(token.encode()).digest()
