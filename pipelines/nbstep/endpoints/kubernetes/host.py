"""Endpoints of a cluster: started by server-side apply, reached by their Service, or through the cluster's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from nbstep.backends.kubernetes.api.cluster import Cluster, cluster
from nbstep.backends.kubernetes.api.contexts import place_of
from nbstep.backends.kubernetes.diagnose import event_problems
from nbstep.backends.kubernetes.names import JobName, Object
from nbstep.backends.kubernetes.text import as_yaml
from nbstep.backends.protocol import Phase, Plan, Status
from nbstep.endpoints.host import IN_CONTAINER, Host, await_end, problem
from nbstep.endpoints.kubernetes.manifest import KINDS, manifests
from nbstep.endpoints.kubernetes.state import is_ready, status_of
from nbstep.endpoints.plan import ENDPOINT_LABEL, REVISION_LABEL, Deployment
from nbstep.errors import ClusterDeniedError, EndpointUnavailableError, RunNotFoundError
from nbstep.profiles import Profile
from nbstep_runner.contract import RunResult

ADDRESS_SECONDS: Final = 120.0
"""How long a load balancer may take to get its address."""


class KubernetesHost(Host):
    """A Deployment for each endpoint; a new revision takes over pod by pod, and only once it answers."""

    def listens(self, profile: Profile, port: int) -> tuple[str, int]:
        """It is the Service that has the port which is asked for."""
        del profile, port
        return IN_CONTAINER

    def plan(self, deployment: Deployment) -> Plan:
        context, namespace = place_of(deployment.submission.profile.kubernetes)
        body = manifests(deployment, namespace)
        handle = str(JobName(context, namespace, deployment.name))
        return Plan(handle=handle, body=body, text=as_yaml(*body))

    def start(self, plan: Plan) -> None:
        api = cluster(JobName.parse(plan.handle).context)
        for manifest in plan.body:
            api.apply(manifest)

    def status(self, handle: str, revision: str) -> Status:
        name = JobName.parse(handle)
        api = cluster(name.context)
        try:
            deployment = api.read("Deployment", name.namespace, name.name)
        except RunNotFoundError:
            return Status(phase=Phase.GONE, words=f"the Deployment {name.name} is gone", reference="lost")
        found = api.pods(name.namespace, f"{ENDPOINT_LABEL}={name.name}")
        pods = [pod for pod in found if pod["metadata"]["labels"].get(REVISION_LABEL) == revision]
        status = status_of(deployment, pods, older=len(found) - len(pods))
        if status.phase is Phase.RUNNING:
            service = api.read("Service", name.namespace, name.name)
            return replace(status, problems=(*status.problems, *address_problems(service, api.now())))
        if status.phase is Phase.PENDING and not status.problems and pods:
            told = api.events(name.namespace, pods[-1]["metadata"]["uid"])
            return status_of(deployment, pods, told=tuple(event_problems(told)), older=len(found) - len(pods))
        return status

    def url(self, handle: str, record: RunResult | None) -> str:
        """Of the Service: the cluster's own name for it where it has no other."""
        del record
        name = JobName.parse(handle)
        api = cluster(name.context)
        try:
            service = api.read("Service", name.namespace, name.name)
        except RunNotFoundError:
            return ""
        return address_of(service, lambda: _nodes(api), api.now())

    def ask(self, handle: str, url: str, path: str, body: bytes | None) -> bytes:
        """Through the cluster's API, which reaches every Service."""
        del url
        name = JobName.parse(handle)
        status, answer = cluster(name.context).ask_service(name.namespace, f"{name.name}:http", path, body)
        if status == 200:
            return answer
        raise problem(status, answer)

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes | None]:
        name = JobName.parse(handle)
        api = cluster(name.context)
        pods = api.pods(name.namespace, f"{ENDPOINT_LABEL}={name.name}")
        if not pods:
            raise EndpointUnavailableError(f"the endpoint {name.name} has no pod")
        newest = max(pods, key=lambda pod: (is_ready(pod), str(pod["metadata"]["creationTimestamp"])))
        rest = b""
        for piece in api.log(name.namespace, newest["metadata"]["name"], follow=follow):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def remove(self, handle: str) -> None:
        name = JobName.parse(handle)
        api = cluster(name.context)
        for kind in KINDS:
            api.remove(kind, name.namespace, name.name)
        await_end(lambda: api.pods(name.namespace, f"{ENDPOINT_LABEL}={name.name}"), handle)


def address_of(service: Object, nodes: Callable[[], Sequence[Object]], now: datetime) -> str:
    """The URL of a Service; empty while its load balancer may still get an address.

    Args:
        service: It.
        now: The cluster's time.
        nodes: Tells the addresses of the cluster's nodes; asked of a node port alone.
    """
    metadata, (port, *_) = service["metadata"], service["spec"]["ports"]
    inside = _url(f"{metadata['name']}.{metadata['namespace']}.svc", port["port"])
    match service["spec"]["type"]:
        case "NodePort":
            host = _best(nodes())
            return _url(host, port["nodePort"]) if host else inside
        case "LoadBalancer" if host := _balancer(service):
            return _url(host, port["port"])
        case "LoadBalancer" if not address_problems(service, now):
            return ""
        case _:
            return inside


def address_problems(service: Object, now: datetime) -> tuple[str, ...]:
    """That a cluster gives a load balancer no address, which one without a provider of them never does."""
    if service["spec"]["type"] != "LoadBalancer" or _balancer(service):
        return ()
    age = now - datetime.fromisoformat(service["metadata"]["creationTimestamp"])
    if age.total_seconds() < ADDRESS_SECONDS:
        return ()
    return ("the cluster gives the load balancer no address: the endpoint is reached inside of the cluster alone",)


def _balancer(service: Object) -> str:
    given = service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    return str(given[0].get("ip") or given[0].get("hostname") or "")


def _best(addresses: Sequence[Object]) -> str:
    kinds = ("ExternalIP", "InternalIP", "Hostname")
    found = {each["type"]: str(each["address"]) for each in reversed(addresses)}
    return next((found[kind] for kind in kinds if kind in found), "")


def _nodes(api: Cluster) -> list[dict[str, Any]]:
    try:
        return api.node_addresses()
    except ClusterDeniedError:  # whoever may not see nodes still reaches the Service from inside
        return []


def _url(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}" if port == 80 else f"http://{shown}:{port}"
