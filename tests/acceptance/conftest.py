"""The servers that the acceptance tests of stores start."""

from servers.fixtures import *  # noqa: F403 - fixtures are found by their names
