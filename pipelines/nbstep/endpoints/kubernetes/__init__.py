"""Endpoints as Deployments of a cluster, each behind a Service."""

from nbstep.endpoints.kubernetes.host import KubernetesHost

__all__ = ["KubernetesHost"]
