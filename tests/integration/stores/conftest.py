"""The servers that these tests start."""

from servers.fixtures import *  # noqa: F403 - fixtures are found by their names
