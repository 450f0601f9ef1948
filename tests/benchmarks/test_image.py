"""How long the image takes to build again, once its packages are cached."""

from __future__ import annotations

import pytest

from servers.docker_fixtures import IMAGE, docker, image  # noqa: F401 - fixtures are found by their names
from servers.dockerd import Docker

LONGEST_SECONDS = 60.0


@pytest.mark.timeout(900)
def test_it_builds_within_a_minute(docker: Docker, image: str) -> None:  # noqa: F811 - the fixtures
    assert image == IMAGE
    assert docker.build("nbstep-test-runner:again", "--no-cache") < LONGEST_SECONDS
