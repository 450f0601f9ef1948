"""The cluster's fixtures."""

from servers.cluster import bucket, cluster, faults, kubeconfig, kueue, launcher, runner_image

__all__ = ["bucket", "cluster", "faults", "kubeconfig", "kueue", "launcher", "runner_image"]
