"""Where runs take place: one protocol, and a room for each place: processes of this machine, containers, clusters.

A backend starts a run and says what its place knows of it. It never judges the run: the record does.
"""
