"""What may be asked for."""

import pytest

from sandbox.probe.script import PROBE_GRADER
from sandbox.run import RunRequest


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", "A", "a" * 41, "a b", "a\n"])
def test_a_run_id_that_could_become_a_path_is_refused(run_id):
    with pytest.raises(ValueError, match="run_id"):
        RunRequest(run_id=run_id, grader=PROBE_GRADER, job={})
