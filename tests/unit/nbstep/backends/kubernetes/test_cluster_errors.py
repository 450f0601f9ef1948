"""What the cluster's API answers, as our own errors."""

from __future__ import annotations

import pytest
from kubernetes.client.exceptions import ApiException

from nbstep.backends.kubernetes.api.calls import explained
from nbstep.errors import ClusterDeniedError, ClusterUnavailableError, RunNotFoundError
from nbstep_runner.errors import BadInputError, NbstepError, OutputConflictError


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadInputError),
        (401, ClusterDeniedError),
        (403, ClusterDeniedError),
        (404, RunNotFoundError),
        (409, OutputConflictError),
        (422, BadInputError),
        (500, ClusterUnavailableError),
    ],
)
def test_an_answer_is_told_with_the_clusters_own_words(status: int, kind: type[NbstepError]) -> None:
    error = ApiException(status=status)
    error.body = '{"message": "quantities must match"}'
    found = explained(error)
    assert type(found) is kind
    assert "quantities must match" in found.message
