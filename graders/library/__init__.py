"""What a grader program may import inside the sandbox.

Standard library only, and light: every submission waits for these imports, which is why there is
no `dataclasses` and no `typing` here at run time.

    session    the conversation with the supervisor: job, tests, runs, reports
    calling    calls a function of the learner's code in a process of its own
    values     the JSON form in which Python values cross from there to here
    comparing  whether a value is the expected one
    tolerance  how far numbers may lie apart
    room       whether what is given to an execution fits
    driver     the program that runs beside the learner's code; never imported here
"""

from graders.library.session import GraderSession, Job, Ran, grade_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from graders.library.calling import Answer, call_function
    from graders.library.comparing import same_value

__all__ = ["Answer", "GraderSession", "Job", "Ran", "call_function", "grade_with", "same_value"]

_LATER = {"Answer": "calling", "call_function": "calling", "same_value": "comparing"}


def __getattr__(name: str) -> object:
    """What a grader of programs does without is imported when it is asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = f"{__name__}.{_LATER[name]}"
    return getattr(__import__(module, fromlist=[name]), name)
