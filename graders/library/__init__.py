"""What a grader program may import inside the sandbox.

Standard library only, and light: every submission waits for these imports, which is why there is
no `dataclasses` and no `typing` here at run time.

    session    the conversation with the supervisor: job, tests, runs, reports
    calling    calls a function of the learner's code in a process of its own
    values     the JSON form in which Python values cross from there to here
    comparing  whether a value is the expected one
    driver     the program that runs beside the learner's code; never imported here
"""

from graders.library.calling import Answer, call_function
from graders.library.comparing import same_value
from graders.library.session import GraderSession, Job, Ran, grade_with

__all__ = ["Answer", "GraderSession", "Job", "Ran", "call_function", "grade_with", "same_value"]
