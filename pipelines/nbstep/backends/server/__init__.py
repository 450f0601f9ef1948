"""Runs through a team's service: started, followed and read over its interface, which ``docs/service.md`` describes."""
