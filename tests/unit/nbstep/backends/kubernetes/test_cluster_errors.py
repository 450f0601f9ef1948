"""What the cluster's API answers, as our own errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import urllib3
from kubernetes.client.exceptions import ApiException

from nbstep.backends.kubernetes.api.calls import Calls, explained
from nbstep.errors import ClusterDeniedError, ClusterUnavailableError, RunNotFoundError
from nbstep_runner.errors import BadInputError, NbstepError, OutputConflictError


def test_the_clusters_time_is_that_of_its_last_answer() -> None:
    calls = Calls(0.0)

    def answered(date: str) -> None:
        calls.json(lambda **_: urllib3.HTTPResponse(b"{}", headers={"Date": date}))

    assert abs(calls.now() - datetime.now(UTC)) < timedelta(hours=1)
    answered("Sun, 06 Nov 1994 08:49:37 GMT")
    answered("no date")
    assert calls.now().year == 1994


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
