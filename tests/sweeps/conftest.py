"""The fixtures of the cluster and its Argo."""

from servers.argo import argo, argo_namespace
from servers.cluster import bucket, cluster, kubeconfig, launcher, runner_image

__all__ = ["argo", "argo_namespace", "bucket", "cluster", "kubeconfig", "launcher", "runner_image"]
