"""For all tests: fixtures that several folders share, and how Hypothesis judges.

Hypothesis judges what holds, not how fast a busy machine shows it.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from servers.docker_fixtures import docker, image, work

__all__ = ["docker", "image", "work"]

settings.register_profile("nbstep", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("nbstep")
