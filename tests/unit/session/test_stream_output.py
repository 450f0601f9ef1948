"""The notebook on standard output, whoever reads it."""

from __future__ import annotations

import os

import pytest

from nbstep_runner.errors import StorageUnavailableError, TerminatedError
from nbstep_runner.session.stream_output import StreamOutput
from nbstep_runner.supervisor import Supervisor

LARGE = b"x" * 2**21
"""More than any pipe takes by itself."""


def test_a_reader_that_stops_reading_holds_up_no_run_that_is_stopped() -> None:
    supervisor = Supervisor(grace=0.1)
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as stream:
        output = StreamOutput(stream, supervisor)
        output.publish(b"{}")
        assert os.read(reader, 9) == b"{}"
        supervisor.abort(TerminatedError("asked to end by SIGTERM"))
        with pytest.raises(StorageUnavailableError, match="standard output did not end within the grace period"):
            output.publish(LARGE)
        os.close(reader)  # now the write ends that was given up
    supervisor.close()
