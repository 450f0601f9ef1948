"""The log of a Job: followed pod after pod and across broken connections, each line once, with what holds the Job up.

A pod's lines carry the runner's ``seq``. Where a connection ended early, the log is asked for again, from a moment
before the last line, and what has come already is passed over; where that leaves a gap, from its beginning.
Lines without a ``seq`` are not the runner's (an interpreter that cannot start), and are told apart by their text.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from nbstep.backends.kubernetes.api.cluster import Cluster, LogNotReadyError
from nbstep.backends.kubernetes.diagnose import event_problems, problems, termination
from nbstep.backends.kubernetes.names import RUN_LABEL, JobName, Object
from nbstep.backends.kubernetes.queue import Queued
from nbstep.backends.kubernetes.starting import ask_queue, give_up_late
from nbstep.backends.kubernetes.state import NOT_QUEUED, condition, overdue, started, withdrawn
from nbstep.errors import RunNotFoundError
from nbstep.views.log_lines import notice

LOOK_SECONDS: Final = 0.5
LONGEST_LOOK: Final = 3.0
EVENTS_AFTER: Final = 5.0
"""Seconds without a start after which the cluster's events are asked why."""
OVERLAP_SECONDS: Final = 15
REMEMBERED: Final = 1000


class PodLog:
    """What has come of one pod's log."""

    def __init__(self) -> None:
        self.seq = 0
        self.last_line_at = time.monotonic()
        self._others: deque[bytes] = deque(maxlen=REMEMBERED)

    def fresh(self, line: bytes, *, again: bool) -> bool:
        """Whether a line has not come before; ``again`` in what may be a repetition."""
        seq = _seq(line)
        if seq is None:
            if again and line in self._others:
                return False
            self._others.append(line)
        elif seq <= self.seq:
            return False
        else:
            self.seq = seq
        self.last_line_at = time.monotonic()
        return True

    def leaves_gap(self, line: bytes) -> bool:
        """Whether lines are missing between those that have come and this one."""
        seq = _seq(line)
        return seq is not None and seq > self.seq + 1


class Follower:
    """Follows one Job."""

    def __init__(self, cluster: Cluster, name: JobName) -> None:
        self._cluster = cluster
        self._name = name
        self._told: set[str] = set()
        self._read: set[str] = set()
        self._seen: Object = {}
        self._waiting_since = time.monotonic()

    def lines(self, *, follow: bool) -> Iterator[bytes | None]:
        """Every line there is; with ``follow`` until the Job has ended and its pods' logs with it.

        ``None`` says that there is nothing new: after each look, and each connection that a silence has ended.
        """
        pause = LOOK_SECONDS
        while True:
            job, pods = self._look()
            if job is None and not pods:
                return
            of_queue = NOT_QUEUED
            if follow and job is not None:
                give_up_late(self._cluster, self._name, job, pods)
                of_queue = ask_queue(self._cluster, self._name, job, pods)
            yield from self._trouble(job, pods, of_queue)
            ready = next((pod for pod in pods if started(pod) and pod["metadata"]["uid"] not in self._read), None)
            if ready is not None:
                self._seen = ready
                yield from self._pod_lines(ready, follow=follow)
                yield from self._tell(problems(self._seen))  # the next look may find the pod gone
                self._read.add(ready["metadata"]["uid"])
                self._waiting_since, pause = time.monotonic(), LOOK_SECONDS
            elif not follow or self._over(job, pods, of_queue):
                return
            else:
                yield None
                time.sleep(pause)
                pause = min(LONGEST_LOOK, pause * 1.1)

    def _look(self) -> tuple[Object | None, list[Object]]:
        try:
            job: Object | None = self._cluster.job(self._name.namespace, self._name.name)
        except RunNotFoundError:
            job = None
        pods: list[Object] = list(self._cluster.pods(self._name.namespace, f"{RUN_LABEL}={self._name.name}"))
        return job, pods

    def _over(self, job: Object | None, pods: list[Object], of_queue: Queued) -> bool:
        if job is None:
            return True
        final = condition(job, "Complete") or condition(job, "Failed") or withdrawn(job, of_queue)
        return bool(final) and all(termination(pod) or overdue(pod, self._cluster.now()) for pod in pods)

    def _trouble(self, job: Object | None, pods: list[Object], of_queue: Queued) -> Iterator[bytes]:
        """What holds the pods up or took them away, each sentence once."""
        sentences = [*(sentence for pod in pods for sentence in problems(pod)), *of_queue.problems]
        if not any(map(started, pods)) and time.monotonic() - self._waiting_since > EVENTS_AFTER:
            newest = pods[-1] if pods else job
            if newest is not None:
                sentences += event_problems(self._cluster.events(self._name.namespace, newest["metadata"]["uid"]))
        for pod in pods:
            end = termination(pod)
            if end is not None and end.reference in ("lost", "out-of-memory"):
                sentences.append(end.words)
        yield from self._tell(sentences)

    def _tell(self, sentences: Iterable[str]) -> Iterator[bytes]:
        for sentence in sentences:
            if sentence not in self._told:
                self._told.add(sentence)
                yield notice(self._name.name, sentence)

    def _pod_lines(self, pod: Object, *, follow: bool) -> Iterator[bytes | None]:
        """The lines of one pod, until its container has ended and all of them have come."""
        name, log = pod["metadata"]["name"], PodLog()
        since: int | None = None
        again = idle = False
        while True:
            ended = not follow or self._ended(name)  # looked at before the log is read: after it there is no more
            since = None if ended else since  # the last look is at all of it, so that nothing depends on clocks
            if idle and not ended:  # such as a connection that the node ends at once
                time.sleep(LOOK_SECONDS)
            before = log.last_line_at
            try:
                yield from self._connection(name, log, follow=follow and not ended, since=since, again=again)
            except RunNotFoundError:
                return
            except LogNotReadyError:
                if ended:
                    return
            if ended:
                return
            yield None
            idle = log.last_line_at == before
            since, again = int(time.monotonic() - log.last_line_at) + OVERLAP_SECONDS, True

    def _connection(self, name: str, log: PodLog, *, follow: bool, since: int | None, again: bool) -> Iterator[bytes]:
        """The new lines of one connection. What may have been missed before them is read from the beginning."""
        for line in self._received(name, follow=follow, since=since):
            if again and since is not None and log.leaves_gap(line):
                yield from (each for each in self._received(name, follow=False) if log.fresh(each, again=True))
            if log.fresh(line, again=again):
                yield line

    def _received(self, name: str, *, follow: bool, since: int | None = None) -> Iterator[bytes]:
        """Whole lines, as they come; the last of a log that has ended may lack its newline."""
        rest = b""
        for chunk in self._cluster.log(self._name.namespace, name, follow=follow, since_seconds=since):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
        if rest and not follow:
            yield rest

    def _ended(self, name: str) -> bool:
        try:
            self._seen = self._cluster.pod(self._name.namespace, name)
        except RunNotFoundError:
            return True
        return termination(self._seen) is not None


class _Numbered(msgspec.Struct):
    seq: int


_DECODER: Final = msgspec.json.Decoder(_Numbered)


def _seq(line: bytes) -> int | None:
    try:
        return _DECODER.decode(line).seq
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
