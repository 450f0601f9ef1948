"""A notebook's bytes made into valid nbformat 4, repaired where its faults are harmless and refused where they are not.

It touches no kernel and no storage; nbformat and jupytext are imported when a notebook needs them.
"""

from nbstep_runner.notebook.format import is_surely_valid
from nbstep_runner.notebook.parse import ParsedNotebook, parse_notebook, read_standard_input
from nbstep_runner.notebook.text import text_suffix

__all__ = ["ParsedNotebook", "is_surely_valid", "parse_notebook", "read_standard_input", "text_suffix"]
