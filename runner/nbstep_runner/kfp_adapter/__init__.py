"""``nbstep-runner kfp-step``: a run inside a step of Kubeflow Pipelines. Files and JSON only; kfp is not imported.

The engine passes an ExecutorInput (kfp's ``pipeline_spec.proto``) as JSON. From it come the run's parameters; into the
files that it names go the step's outputs, for failed runs as well.
"""
