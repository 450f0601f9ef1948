"""Notebooks as steps: what they take and leave, and how an engine is told. Only ``steps.kfp`` imports kfp."""

from nbstep.steps.definition import NotebookStep, notebook_step
from nbstep.steps.endpoint import endpoint_step
from nbstep.steps.ports import Artifact

__all__ = ["Artifact", "NotebookStep", "endpoint_step", "notebook_step"]
