"""For all tests: Hypothesis judges what holds, not how fast a busy machine shows it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("nbstep", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("nbstep")
