"""The kernel process: found, started early, spoken to, interrupted, ended, and its death understood.

Nothing here knows what a notebook is.
"""
