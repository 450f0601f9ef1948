"""Parameters: loading, merging, the notebook's signature, validation and secret references.

Nothing here touches a kernel.
"""

from nbstep_runner.parameters.dump import dump_given, dump_yaml
from nbstep_runner.parameters.later_cells import overwritten
from nbstep_runner.parameters.model import MISSING, Missing, Parameter, Signature, signature_schema
from nbstep_runner.parameters.resolve import Resolved, resolve, value_of
from nbstep_runner.parameters.safe_yaml import load_document, load_yaml
from nbstep_runner.parameters.secret import SecretReference
from nbstep_runner.parameters.signature import read_signature

__all__ = [
    "MISSING",
    "Missing",
    "Parameter",
    "Resolved",
    "SecretReference",
    "Signature",
    "dump_given",
    "dump_yaml",
    "load_document",
    "load_yaml",
    "overwritten",
    "read_signature",
    "resolve",
    "signature_schema",
    "value_of",
]
