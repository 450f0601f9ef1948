"""Runs as Jobs of a cluster."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

import msgspec

from nbstep.backends.kubernetes.api.cluster import Cluster, cluster
from nbstep.backends.kubernetes.api.contexts import place_of
from nbstep.backends.kubernetes.diagnose import event_problems
from nbstep.backends.kubernetes.follow import Follower
from nbstep.backends.kubernetes.manifest import job, located
from nbstep.backends.kubernetes.names import (
    CANCELLED_ANNOTATION,
    MANAGED_BY,
    RUN_ANNOTATION,
    RUN_LABEL,
    SCHEME,
    JobName,
    Object,
)
from nbstep.backends.kubernetes.queue import JOB_UID_LABEL, held_back, queued
from nbstep.backends.kubernetes.starting import ask_queue, end_job, give_up_late
from nbstep.backends.kubernetes.state import NOT_QUEUED, is_over, is_sweep, status_of
from nbstep.backends.kubernetes.text import as_yaml
from nbstep.backends.protocol import Located, Phase, Plan, Status, Submission
from nbstep.backends.reach import Packages, Reach
from nbstep.errors import ClusterUnavailableError, RunNotFoundError
from nbstep.profiles import Profile
from nbstep.profiles.volume_claims import claimed_in_pod, in_pod
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import OutputConflictError

PODS: Final = 8
"""Of a sweep for which nobody says how many."""
GONE_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 0.5
RIGHTS: Final = (
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete", "get", "list", "patch"]},
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": ["kueue.x-k8s.io"], "resources": ["workloads"], "verbs": ["list"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
)
"""What the launcher does in the namespaces of runs; of endpoints a server tells how they stand, and starts none."""
FEW: Final = 3
"""Up to so many runs are asked for by name, and with the events that say what holds them up."""


class KubernetesBackend:
    """Starts a Job for each run, and reads how it stands from the Job, its pods and their events."""

    scheme: ClassVar[str] = SCHEME
    endpoints: ClassVar[str] = "nbstep.endpoints.kubernetes:KubernetesHost"

    def reach(self, profile: Profile) -> Reach:
        """What a pod sees: its claims, its own ways to stores, an image of a registry; nothing of this machine."""
        storage = msgspec.to_builtins(profile.storage) | profile.kubernetes.storage
        return Reach(
            translate=in_pod,
            storage=msgspec.convert(storage, StorageOptions),
            local_files=False,
            packages=Packages.PUBLISHED,
            claimed=claimed_in_pod,
        )

    def rights(self, profile: Profile) -> tuple[str | None, tuple[Object, ...]]:
        """The namespace that the profile names, and what the launcher does in it."""
        return profile.kubernetes.namespace, RIGHTS

    def plan(self, submission: Submission) -> Plan:
        """The Job's manifest. Asks no server; the kubeconfig only for what the profile leaves open."""
        context, namespace = place_of(submission.profile.kubernetes)
        manifest = job(submission, namespace)
        name = JobName(context, manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        return Plan(handle=str(name), body=manifest, text=as_yaml(manifest))

    def sweep_workers(self, jobs: int | None) -> tuple[int, int | None]:
        """So many pods, each of which makes one run at once unless the caller says otherwise."""
        return jobs or PODS, 1

    def submit(self, plan: Plan) -> None:
        """Create the Job. One of that name that belongs to the same run is that run, submitted before.

        The Job of a sweep that has ended makes room for a new one.
        """
        name = JobName.parse(plan.handle)
        api = cluster(name.context)
        try:
            api.create_job(name.namespace, plan.body)
        except OutputConflictError:
            existing = api.job(name.namespace, name.name)
            if _mark(existing) == _mark(plan.body) and is_sweep(existing) and is_over(existing):
                self.forget(plan.handle)
                api.create_job(name.namespace, plan.body)
            elif _mark(existing) != _mark(plan.body):
                raise OutputConflictError(
                    f"another Job {name.name} is in the namespace {name.namespace}",
                    hint="Choose another run id, or leave it out and get a new one.",
                ) from None

    def check(self, plan: Plan) -> str:
        """Say that the cluster would take the Job; nothing is created.

        Raises:
            NbstepError: It does not answer, denies it, or refuses the manifest.
        """
        name = JobName.parse(plan.handle)
        cluster(name.context).try_job(name.namespace, plan.body)
        return f"Jobs may be created in {name.context}/{name.namespace}"

    def locate(self, handle: str) -> Located:
        """Find a run by its Job."""
        name = JobName.parse(handle)
        return located(cluster(name.context).job(name.namespace, name.name))

    def statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        """How each run stands: two questions for each namespace, or three for a single run, and one of a queue.

        One that does not start in time is given up.
        """
        by_place: dict[tuple[str, str], list[JobName]] = defaultdict(list)
        for handle in handles:
            name = JobName.parse(handle)
            by_place[name.place].append(name)
        return {str(name): status for names in by_place.values() for name, status in _statuses(names)}

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes | None]:
        """The log of every pod of the Job in turn, with what holds them up between."""
        name = JobName.parse(handle)
        return Follower(cluster(name.context), name).lines(follow=follow)

    def forget(self, handle: str) -> None:
        """Delete the Job and its pods, and wait until they are gone."""
        name = JobName.parse(handle)
        api = cluster(name.context)
        api.remove("Job", name.namespace, name.name)
        deadline = time.monotonic() + GONE_SECONDS
        selector = f"{RUN_LABEL}={name.name}"
        while api.jobs(name.namespace, selector) or api.pods(name.namespace, selector):
            if time.monotonic() > deadline:
                raise ClusterUnavailableError(f"the Job {name.name} has not gone after {GONE_SECONDS:g} s")
            time.sleep(LOOK_SECONDS)

    def cancel(self, handle: str) -> None:
        """Let the pods end, with their grace period. The Job stays."""
        name = JobName.parse(handle)
        end_job(cluster(name.context), name, CANCELLED_ANNOTATION, "true")


def _statuses(names: Sequence[JobName]) -> Iterator[tuple[JobName, Status]]:
    """The statuses of runs in one namespace."""
    first, api = names[0], cluster(names[0].context)
    if len(names) <= FEW:
        for name in names:
            yield name, _status(api, name)
        return
    selector = ",".join(f"{key}={value}" for key, value in MANAGED_BY.items())
    jobs = {each["metadata"]["name"]: each for each in api.jobs(first.namespace, selector)}
    pods: dict[str, list[Object]] = defaultdict(list)
    for pod in api.pods(first.namespace, selector):
        pods[pod["metadata"]["labels"].get(RUN_LABEL, "")].append(pod)
    waiting = any(held_back(job, pods[name]) for name, job in jobs.items())
    workloads = api.workloads(first.namespace) if waiting else []
    told = {each["metadata"].get("labels", {}).get(JOB_UID_LABEL): queued(each) for each in workloads}
    for name in names:
        if found := jobs.get(name.name):
            give_up_late(api, name, found, pods[name.name])
            of_queue = told.get(found["metadata"]["uid"], NOT_QUEUED)
            yield name, status_of(found, pods[name.name], api.now(), queued=of_queue)
        else:
            yield name, _gone(name)


def _status(api: Cluster, name: JobName) -> Status:
    try:
        found = api.job(name.namespace, name.name)
    except RunNotFoundError:
        return _gone(name)
    pods = api.pods(name.namespace, f"{RUN_LABEL}={name.name}")
    give_up_late(api, name, found, pods)
    of_queue = ask_queue(api, name, found, pods)
    status = status_of(found, pods, api.now(), queued=of_queue)
    if status.phase is Phase.PENDING and not status.problems:
        return status_of(found, pods, api.now(), tuple(event_problems(events(api, name, found, pods))), of_queue)
    return status


def events(api: Cluster, name: JobName, found: Object, pods: Sequence[Object]) -> list[Object]:
    """What the cluster told of a Job that has no pod, or of its newest pod."""
    return list(api.events(name.namespace, (pods[-1] if pods else found)["metadata"]["uid"]))


def _gone(name: JobName) -> Status:
    return Status(phase=Phase.GONE, words=f"the Job {name.name} is gone", reference="lost")


def _mark(manifest: Object) -> str | None:
    mark: str | None = manifest["metadata"].get("annotations", {}).get(RUN_ANNOTATION)
    return mark
