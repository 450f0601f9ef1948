"""Notebooks in Kubeflow Pipelines. Nothing outside of this package imports kfp; it comes with ``nbstep[kfp]``."""

from nbstep.steps import Artifact, NotebookStep, endpoint_step, notebook_step
from nbstep.steps.kfp.bind import component_of
from nbstep.steps.kfp.local import local_runs
from nbstep.steps.kfp.placement import place

__all__ = ["Artifact", "NotebookStep", "component_of", "endpoint_step", "local_runs", "notebook_step", "place"]
