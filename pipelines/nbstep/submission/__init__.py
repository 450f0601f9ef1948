"""A request for a run, checked and made into what a backend starts; and a run that was submitted, found again.

Nothing here follows a run, and nothing is written before all of the request is known to be right.
"""
