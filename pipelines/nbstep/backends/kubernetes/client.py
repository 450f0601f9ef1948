"""The cluster's API: the only module that imports ``kubernetes``. Plain dictionaries in and out.

Answers are taken as JSON rather than as the library's models, so that fields that it does not know come through, and
a list of a hundred pods costs milliseconds.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential, wait_random

from nbstep.backends.kubernetes.dropped import dropped
from nbstep.backends.kubernetes.names import CONTAINER
from nbstep.errors import ClusterDeniedError, ClusterUnavailableError, RunNotFoundError
from nbstep.profiles.exposure import CLUSTER_VARIABLE
from nbstep_runner.errors import BadInputError, NbstepError, OutputConflictError, UsageError

TIMEOUT: Final = (5.0, 30.0)
"""Seconds to connect, and between two pieces of an answer."""
SILENCE: Final = 20.0
"""Seconds without a line after which a followed log is asked for anew: a connection may be dead without a word."""
PATIENCE: Final = 300.0
"""Seconds that an API that does not answer is tried again."""
PATIENCE_VARIABLE: Final = "NBSTEP_CLUSTER_PATIENCE"
TOLD_AFTER: Final = 4
"""Failed attempts after which whoever waits is told: about two seconds."""
PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})

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
Reply = dict[str, Any]
_LOG: Final = logging.getLogger("nbstep")


class Cluster:
    """One context of the kubeconfig; inside a pod its own cluster.

    Args:
        context: Its name.
        patience: Seconds that an API which does not answer is tried again; the environment's, or the default, if
            ``None``.

    Every call is tried again while the API is overloaded or away, and raises ``ClusterUnavailableError`` past the
    patience, ``ClusterDeniedError`` where it may not be made, ``RunNotFoundError`` where there is no such object.
    """

    def __init__(self, context: str, *, patience: float | None = None) -> None:
        settings = _settings(context)
        self._api = client.ApiClient(settings)
        self._batch = client.BatchV1Api(self._api)
        self._core = client.CoreV1Api(self._api)
        self._patience = _patience() if patience is None else patience

    def create_job(self, namespace: str, manifest: Reply) -> Reply:
        """Create a Job, once a trial has shown that the cluster keeps all of its manifest.

        Raises:
            BadInputError: The cluster refuses a field, or drops it.
            OutputConflictError: There is a Job of that name.
        """

        def create(trial: Mapping[str, str]) -> Reply:
            make = self._batch.create_namespaced_job
            return self._call(make, namespace, manifest, field_validation=STRICT, **trial)

        return _tried(create, manifest, {"dry_run": "All"})

    def try_job(self, namespace: str, manifest: Reply) -> None:
        """Ask whether the cluster would create a Job, without creating it.

        Raises:
            NbstepError: Why it would not.
        """
        make = self._batch.create_namespaced_job
        self._call(make, namespace, manifest, field_validation=STRICT, dry_run="All")

    def job(self, namespace: str, name: str) -> Reply:
        """A Job."""
        return self._call(self._batch.read_namespaced_job, name, namespace)

    def jobs(self, namespace: str, selector: str) -> list[Reply]:
        """The Jobs with these labels."""
        return _items(self._call(self._batch.list_namespaced_job, namespace, label_selector=selector))

    def patch_job(self, namespace: str, name: str, operations: list[Reply]) -> Reply:
        """Change a Job by JSON Patch (RFC 6902), which is what the library takes a list for in all its versions."""
        return self._call(self._batch.patch_namespaced_job, name, namespace, operations, field_validation=STRICT)

    def pods(self, namespace: str, selector: str) -> list[Reply]:
        """The pods with these labels, the oldest first."""
        pods = _items(self._call(self._core.list_namespaced_pod, namespace, label_selector=selector))
        return sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    def pod(self, namespace: str, name: str) -> Reply:
        """A pod."""
        return self._call(self._core.read_namespaced_pod, name, namespace)

    def events(self, namespace: str, uid: str) -> list[Reply]:
        """What the cluster has told of an object lately."""
        return _items(
            self._call(self._core.list_namespaced_event, namespace, field_selector=f"involvedObject.uid={uid}")
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
            reply = self._raw(
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
        nodes = _items(self._call(self._core.list_node))
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
        return self._call(partial(self._send, method, path, query, body, content_type))

    def _send(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Any,
        content_type: str,
        **options: Any,
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

    def _call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Reply:
        reply = self._raw(function, *arguments, _request_timeout=TIMEOUT, **options)
        return dict(json.loads(reply.data))

    def _raw(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        attempts = Retrying(
            stop=stop_after_delay(self._patience),
            wait=_pause,
            retry=retry_if_exception(_passes),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return attempts(function, *arguments, _preload_content=False, **options)
        except ApiException as error:
            raise _explained(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise ClusterUnavailableError(f"the cluster does not answer: {error}") from error

    def _tell(self, state: RetryCallState) -> None:
        """Say once in an outage that it is one, to whoever waits."""
        if state.attempt_number == TOLD_AFTER:
            error = state.outcome.exception() if state.outcome else None
            reason = error.reason if isinstance(error, ApiException) else type(error).__name__
            _LOG.warning("the cluster does not answer (%s); trying for up to %.0f s", reason, self._patience)


class LogNotReadyError(ClusterUnavailableError):
    """The container has no log yet."""


def context_named(name: str | None) -> tuple[str, str]:
    """A context's name and its namespace; the current one's if ``None``. Asks no server.

    A pod without a kubeconfig knows its own cluster alone, by the name in :data:`CLUSTER_VARIABLE`.

    Raises:
        ClusterDeniedError: There is no such context.
    """
    try:
        contexts, current = config.list_kube_config_contexts(config_file=_config_file())
    except config.ConfigException as error:
        if name in (None, _own_cluster()) and (namespace := _own_namespace()):
            return _own_cluster(), namespace
        raise ClusterDeniedError(
            f"no cluster is known here: {error}", hint="Set KUBECONFIG, or log in to a cluster."
        ) from error
    for context in [current] if name is None else contexts:
        if name is None or context["name"] == name:
            return context["name"], context["context"].get("namespace", "default")
    known = f"It has: {', '.join(context['name'] for context in contexts)}."
    inside = f" What a pod of the cluster starts is known here by its context, if {CLUSTER_VARIABLE} names that there."
    raise ClusterDeniedError(
        f"the kubeconfig has no context {name!r}", hint=known + (inside if name == IN_CLUSTER else "")
    )


def _patience() -> float:
    text = os.environ.get(PATIENCE_VARIABLE)
    try:
        return PATIENCE if text is None else float(text)
    except ValueError:
        raise UsageError(f"{PATIENCE_VARIABLE} is no number: {text!r}", hint="Give it seconds, such as 300.") from None


IN_CLUSTER: Final = "in-cluster"


def _own_cluster() -> str:
    return os.environ.get(CLUSTER_VARIABLE) or IN_CLUSTER


def _settings(context: str) -> Any:
    settings = client.Configuration()
    settings.retries = False  # ours know which requests may be repeated, and for how long
    context_named(context)
    if context == _own_cluster() and _own_namespace():
        config.load_incluster_config(client_configuration=settings)
    else:
        config.load_kube_config(config_file=_config_file(), context=context, client_configuration=settings)
    if not settings.verify_ssl:  # the kubeconfig's own choice, which need not be repeated with every request
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
    return settings


def _config_file() -> str | None:
    """The environment's kubeconfig as it is now: the library keeps what it was when it was imported."""
    return os.environ.get("KUBECONFIG") or None


def _own_namespace() -> str | None:
    try:
        with open("/var/run/secrets/kubernetes.io/serviceaccount/namespace") as file:  # noqa: PTH123 - as the library does
            return file.read().strip()
    except OSError:
        return None


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


def _passes(error: BaseException) -> bool:
    """Whether a request can succeed when it is made again."""
    if isinstance(error, ApiException):
        return error.status in PASSING
    return isinstance(error, urllib3.exceptions.HTTPError)


_backoff: Final = wait_exponential(multiplier=0.2, max=5.0) + wait_random(0.0, 0.3)


def _pause(state: RetryCallState) -> float:
    """Seconds until the next attempt: what the server asks for, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.headers.get("Retry-After") if isinstance(error, ApiException) and error.headers else None
    return min(float(asked), 30.0) if asked and asked.isdigit() else _backoff(state)


def _explained(error: ApiException) -> NbstepError:
    message = _message(error)
    match error.status:
        case 404:
            return RunNotFoundError(f"the cluster knows no such thing: {message}")
        case 401 | 403:
            return ClusterDeniedError(f"the cluster refuses: {message}")
        case 409:
            return OutputConflictError(message)
        case 400 | 422:
            return BadInputError(f"the cluster does not accept it: {message}")
        case status:
            return ClusterUnavailableError(f"the cluster answers {status}: {message}")


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason or error.body or error.status)
