"""The fixed words of a reply, for learners: plain sentences that say what to look for."""

from __future__ import annotations

from sandbox.run import TestStatus

SUMMARY_OF_STOP = " The run was stopped before all tests had ended."
NOTHING = "(nothing)"
NOT_RUN = "not run"

VERDICTS = {
    TestStatus.PASSED: "passed",
    TestStatus.PARTIAL: "partly passed",
    TestStatus.FAILED: "failed",
    TestStatus.ERROR: "failed with an error",
    TestStatus.TIME: "stopped: took too long",
    TestStatus.MEMORY: "stopped: used too much memory",
    TestStatus.OUTPUT: "stopped: printed too much",
}
CSS_CLASSES = {
    TestStatus.PASSED: "result-correct",
    TestStatus.PARTIAL: "result-partially-correct",
}
"""Everything else is `result-incorrect`."""

MEANINGS = {
    TestStatus.ERROR: "Your program could not be built, or it crashed; the messages below say"
    " where.",
    TestStatus.TIME: "Your program was still running when its time was up. Often a loop never"
    " ends, the program waits for input that does not come, or its method is too slow.",
    TestStatus.MEMORY: "Your program needed more memory than it may have. Often a list or a text"
    " keeps growing, or a function calls itself for ever.",
    TestStatus.OUTPUT: "Your program printed more than it may, and the rest was not read. Often a"
    " print stands in a loop that never ends.",
}


def counted(number: float, noun: str) -> str:
    return f"{points(number)} {noun}" + ("" if number == 1 else "s")


def points(number: float) -> str:
    """At most three decimals, none that say nothing."""
    return f"{number:.3f}".rstrip("0").rstrip(".")


def duration(milliseconds: float) -> str:
    if milliseconds < 1:
        return "under 1 ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
