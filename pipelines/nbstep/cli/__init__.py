"""The command ``nbstep``: a module for each command, imported when that command is used."""
