"""A run from outside: its state, its verdict, its log, waiting for it, and the history of all runs of a folder.

Nothing here starts a run or draws anything. What is said of a run comes from its record and from its place.
"""
