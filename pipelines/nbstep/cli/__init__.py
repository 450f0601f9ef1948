"""The command ``nbstep``: a module for each command, imported when that command is used.

Arguments come in, calls of the other rooms go out, and what they return is shown. No logic of runs lives here.
"""
