"""What an endpoint counts, in the text format that Prometheus reads (version 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the histogram's buckets, in seconds."""


class Metrics:
    """Counts the requests that call the served function; used by the server's one thread."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int]] = Counter()
        self._buckets = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    def count(self, route: str, status: int, seconds: float) -> None:
        """A request has its answer."""
        self._answers[route, status] += 1
        self._buckets[bisect_left(BOUNDS, seconds)] += 1
        self._seconds += seconds

    def text(self, *, in_flight: int, overdue: int) -> str:
        """All of it."""
        lines = ["# HELP nbstep_requests_total Answered requests.", "# TYPE nbstep_requests_total counter"]
        for (route, status), count in sorted(self._answers.items()):
            lines.append(f'nbstep_requests_total{{route="{route}",code="{status}"}} {count}')
        lines += ["# HELP nbstep_request_seconds From a request's arrival to its answer."]
        lines += ["# TYPE nbstep_request_seconds histogram"]
        total = 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self._buckets, strict=True):
            total += count
            lines.append(f'nbstep_request_seconds_bucket{{le="{bound}"}} {total}')
        lines += [f"nbstep_request_seconds_sum {self._seconds!r}", f"nbstep_request_seconds_count {total}"]
        lines += ["# HELP nbstep_requests_in_flight Calls that run or wait.", "# TYPE nbstep_requests_in_flight gauge"]
        lines += [f"nbstep_requests_in_flight {in_flight}"]
        lines += ["# HELP nbstep_requests_overdue Calls that run past their deadline."]
        lines += ["# TYPE nbstep_requests_overdue gauge", f"nbstep_requests_overdue {overdue}", ""]
        return "\n".join(lines)
