"""The supervisor's words for why something is over. `session.c` and `execute.c` say them."""

from __future__ import annotations


class Ending:
    """Why a run is over: `how` of the `ended` frame."""

    FINISHED = "finished"
    GRADER_EXITED = "grader-exited"
    GRADER_UNUSABLE = "grader-unusable"
    GRADER_BROKE_PROTOCOL = "grader-broke-protocol"
    OUT_OF_TIME = "out-of-time"
    """The detail `learner` says whose time it was."""
    OUT_OF_MEMORY = "out-of-memory"
    """The learner's program took what the grader needed."""
    PLATFORM = "platform"


EXITED = "exited"
"""One execution's `reason`, as the three below."""
TIME = "time"
MEMORY = "memory"
OUTPUT = "output"
