"""What a cluster is asked for: objects by their names and labels, logs, Services, what it thinks of a caller.

Answers are taken as JSON rather than as the library's models, so that fields that it does not know come through, and
a list of a hundred pods costs milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache, partial
from typing import Any, Final

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from nbstep.backends.kubernetes.api.calls import TIMEOUT, Calls, Reply
from nbstep.backends.kubernetes.api.contexts import settings_of
from nbstep.backends.kubernetes.dropped import dropped
from nbstep.backends.kubernetes.names import CONTAINER
from nbstep.errors import ClusterDeniedError, ClusterUnavailableError, RunNotFoundError
from nbstep_runner.errors import BadInputError

SILENCE: Final = 20.0
"""Seconds without a line after which a followed log is asked for anew: a connection may be dead without a word."""
STRICT: Final = "Strict"
"""As ``fieldValidation``: a field that the API does not know is an error (before 1.27 it is dropped)."""
NO_TRIAL: Final = "does not support dry run"
"""What an API server says where a webhook of the cluster's owners takes no trial."""

KUEUE: Final = ("v1beta2", "v1beta1")
"""Versions of Kueue's API, the newest first."""
PATHS: Final = {
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Service": "/api/v1/namespaces/{}/services",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
}
REVIEWS: Final = {"TokenReview": "authentication.k8s.io/v1", "SubjectAccessReview": "authorization.k8s.io/v1"}
"""Questions about callers, by kind."""
_JSON: Final = "application/json"


class Cluster:
    """One context of the kubeconfig; inside a pod its own cluster.

    Args:
        context: Its name.
        patience: As of :class:`~nbstep.backends.kubernetes.api.calls.Calls`, which makes every call.
    """

    def __init__(self, context: str, *, patience: float | None = None) -> None:
        self._api = client.ApiClient(settings_of(context))
        self._batch = client.BatchV1Api(self._api)
        self._core = client.CoreV1Api(self._api)
        self._calls = Calls(patience)

    def now(self) -> datetime:
        """The cluster's time, whatever this machine's clock says."""
        return self._calls.now()

    def create_job(self, namespace: str, manifest: Reply) -> Reply:
        """Create a Job, once a trial has shown that the cluster keeps all of its manifest.

        Raises:
            BadInputError: The cluster refuses a field, or drops it.
            OutputConflictError: There is a Job of that name.
        """

        def create(trial: Mapping[str, str]) -> Reply:
            make = self._batch.create_namespaced_job
            return self._calls.json(make, namespace, manifest, field_validation=STRICT, **trial)

        return _tried(create, manifest, {"dry_run": "All"})

    def try_job(self, namespace: str, manifest: Reply) -> None:
        """Ask whether the cluster would create a Job, without creating it.

        Raises:
            NbstepError: Why it would not.
        """
        make = self._batch.create_namespaced_job
        self._calls.json(make, namespace, manifest, field_validation=STRICT, dry_run="All")

    def job(self, namespace: str, name: str) -> Reply:
        """A Job."""
        return self._calls.json(self._batch.read_namespaced_job, name, namespace)

    def jobs(self, namespace: str, selector: str) -> list[Reply]:
        """The Jobs with these labels."""
        return _items(self._calls.json(self._batch.list_namespaced_job, namespace, label_selector=selector))

    def patch_job(self, namespace: str, name: str, operations: list[Reply]) -> Reply:
        """Change a Job by JSON Patch (RFC 6902), which is what the library takes a list for in all its versions."""
        return self._calls.json(self._batch.patch_namespaced_job, name, namespace, operations, field_validation=STRICT)

    def pods(self, namespace: str, selector: str) -> list[Reply]:
        """The pods with these labels, the oldest first."""
        pods = _items(self._calls.json(self._core.list_namespaced_pod, namespace, label_selector=selector))
        return sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    def pod(self, namespace: str, name: str) -> Reply:
        """A pod."""
        return self._calls.json(self._core.read_namespaced_pod, name, namespace)

    def events(self, namespace: str, uid: str) -> list[Reply]:
        """What the cluster has told of an object lately."""
        return _items(
            self._calls.json(self._core.list_namespaced_event, namespace, field_selector=f"involvedObject.uid={uid}")
        )

    def workloads(self, namespace: str, selector: str = "") -> list[Reply]:
        """What Kueue keeps of Jobs; nothing where there is no Kueue, or who asks may not see it."""
        for version in KUEUE:
            path = f"/apis/kueue.x-k8s.io/{version}/namespaces/{namespace}/workloads"
            try:
                return _items(self._request("GET", path, [("labelSelector", selector)]))
            except RunNotFoundError:
                continue
            except ClusterDeniedError:
                break
        return []

    def log(self, namespace: str, pod: str, *, follow: bool, since_seconds: int | None = None) -> Iterator[bytes]:
        """The bytes of a pod's log as they come. A connection that breaks ends it without an error.

        Raises:
            RunNotFoundError: The pod is gone.
            LogNotReadyError: Its container has not started.
        """
        options: dict[str, Any] = {"container": CONTAINER, "follow": follow}
        if since_seconds is not None:
            options["since_seconds"] = since_seconds
        try:
            reply = self._calls.raw(
                self._core.read_namespaced_pod_log, pod, namespace, _request_timeout=(TIMEOUT[0], SILENCE), **options
            )
        except BadInputError as error:  # the one reason for which a cluster does not accept this question
            raise LogNotReadyError(error.message) from error
        try:
            yield from reply.stream(2**16)
        except urllib3.exceptions.HTTPError:
            return
        finally:
            reply.close()

    def apply(self, manifest: Reply) -> Reply:
        """Make an object what its manifest says, whether it is there or not (server-side apply).

        Raises:
            BadInputError: The cluster refuses a field, or drops it; nothing is changed.
        """
        metadata = manifest["metadata"]
        path = f"{_path(manifest['kind'], metadata['namespace'])}/{metadata['name']}"
        query = {"fieldManager": "nbstep", "force": "true", "fieldValidation": STRICT}

        def send(trial: Mapping[str, str]) -> Reply:
            asked = [*query.items(), *trial.items()]
            return self._request("PATCH", path, asked, manifest, content_type="application/apply-patch+yaml")

        return _tried(send, manifest, {"dryRun": "All"})

    def read(self, kind: str, namespace: str, name: str) -> Reply:
        """An object of one of the kinds of :data:`PATHS`."""
        return self._request("GET", f"{_path(kind, namespace)}/{name}")

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object and what belongs to it; one that is gone is as good."""
        with suppress(RunNotFoundError):
            self._request("DELETE", f"{_path(kind, namespace)}/{name}", [("propagationPolicy", "Background")])

    def node_addresses(self) -> list[Reply]:
        """The addresses of the nodes that are ready."""
        nodes = _items(self._calls.json(self._core.list_node))
        ready = [node for node in nodes if ("Ready", "True") in _conditions(node)]
        return [address for node in ready for address in node["status"]["addresses"]]

    def ask_service(self, namespace: str, service: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Ask a Service through the API's own proxy: the status and the body of its answer."""
        place = f"{_path('Service', namespace)}/{service}/proxy/{path}"
        try:
            value = None if body is None else json.loads(body)  # the library writes JSON of whatever it is given
            reply = self._send("GET" if body is None else "POST", place, [], value, _JSON)
        except ApiException as error:
            return error.status, (error.body or b"") if isinstance(error.body, bytes) else str(error.body).encode()
        except urllib3.exceptions.HTTPError as error:
            raise ClusterUnavailableError(f"the cluster does not answer: {error}") from error
        return reply.status, reply.data

    def review(self, kind: str, spec: Reply) -> Reply:
        """What the cluster says of a caller: the status of a review of one of the kinds of :data:`REVIEWS`."""
        api = REVIEWS[kind]
        body = {"apiVersion": api, "kind": kind, "spec": spec}
        return dict(self._request("POST", f"/apis/{api}/{kind.lower()}s", body=body)["status"])

    def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Reply | None = None,
        *,
        content_type: str = _JSON,
    ) -> Reply:
        return self._calls.json(partial(self._send, method, path, query, body, content_type))

    def _send(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: Any, content_type: str, **options: Any
    ) -> Any:
        options = {"_request_timeout": TIMEOUT, "_preload_content": False} | options
        reply, _, _ = self._api.call_api(
            path,
            method,
            query_params=list(query),
            header_params={"Accept": _JSON, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
            _return_http_data_only=False,
            **options,
        )
        return reply


class LogNotReadyError(ClusterUnavailableError):
    """The container has no log yet."""


@cache
def cluster(context: str) -> Cluster:
    """The connection to a context, made once."""
    return Cluster(context)


def _tried(send: Callable[[Mapping[str, str]], Reply], manifest: Reply, trial: Mapping[str, str]) -> Reply:
    """Send a manifest, once a trial of the same request has shown that all of it would be kept.

    Args:
        send: Makes the request, with these options more.
        manifest: What it sends.
        trial: The options that make the request a trial.

    Raises:
        BadInputError: A part of it would be dropped.
    """
    try:
        answer = send(trial)
    except BadInputError as error:
        if NO_TRIAL not in error.message:
            raise
        answer = manifest
    if lost := list(dropped(manifest, answer)):
        raise BadInputError(
            f"the cluster would drop or change {', '.join(lost)}, so nothing was started",
            hint="It does not know the field, or has it switched off: leave it out of the profile.",
        )
    return send({})


def _path(kind: str, namespace: str) -> str:
    return PATHS[kind].format(namespace)


def _conditions(node: Reply) -> list[tuple[str, str]]:
    return [(each["type"], each["status"]) for each in node["status"].get("conditions") or ()]


def _items(reply: Reply) -> list[Reply]:
    return list(reply.get("items") or ())
