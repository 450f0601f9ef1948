"""Notebooks as steps: what they take and leave, and how an engine is told. Only ``steps.kfp`` imports kfp."""

from nbstep.steps.ports import Artifact
from nbstep.steps.step import NotebookStep, notebook_step

__all__ = ["Artifact", "NotebookStep", "notebook_step"]
