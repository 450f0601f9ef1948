"""Runs as containers of a Docker daemon."""
