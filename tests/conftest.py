"""Fixtures that several folders share: what they start is started once."""

from servers.docker_fixtures import docker, image, work

__all__ = ["docker", "image", "work"]
