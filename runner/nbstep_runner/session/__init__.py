"""One run from its claim to its record (:mod:`nbstep_runner.session.run`).

Nothing here knows a store's scheme, and nothing here knows papermill's ways.
"""
