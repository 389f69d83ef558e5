"""What a case of the hostile suite is: an attack, and what must come of it on each engine.

A hostile program says itself what it got (see `preludes`): a line `GAINED …` for everything it
should not have been able to do. Whoever judges it never has to know how the attack works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.hostile.bench import Bench


class Group(StrEnum):
    EXHAUSTION = "A"
    OUTLIVING = "B"
    FORGERY = "C"
    ESCAPE = "D"
    OUTPUTS = "E"
    INPUTS = "F"
    GRADER_FAULTS = "G"


GROUP_TITLES = {
    Group.EXHAUSTION: "Exhaustion",
    Group.OUTLIVING: "Outliving",
    Group.FORGERY: "Forgery and theft",
    Group.ESCAPE: "Escape surface",
    Group.OUTPUTS: "Poisoned outputs",
    Group.INPUTS: "Input side",
    Group.GRADER_FAULTS: "Faults of graders and of the host",
}


class Engine(StrEnum):
    """A backend with an isolation and a runtime: what an expected outcome is written for."""

    SPLIT_UID = "docker/runc split-uid"
    SPLIT_CONTAINER = "docker/runc split-container"
    GVISOR = "docker/runsc split-container"
    BOX = "docker/runc box"
    BUBBLEWRAP = "bubblewrap"


DOCKER = frozenset({Engine.SPLIT_UID, Engine.SPLIT_CONTAINER, Engine.GVISOR, Engine.BOX})


class Language(StrEnum):
    PYTHON = "python"
    SHELL = "shell"
    C = "c"
    """Compiled on the host, statically, when it has a compiler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One execution of hostile code, sent as a file of its own folder."""

    source: str = field(repr=False)
    language: Language = Language.PYTHON
    stdin: bytes = field(default=b"", repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    frame: Mapping[str, Any] = field(default_factory=dict)
    """More fields of the `run` frame: `wall_s`, `collect`, ..."""
    bare: bool = False
    """The source is sent as it is: nothing is put around it, and it need not say anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Hostile programs one after the other in one submission, under an honest grader."""

    programs: tuple[Program, ...]
    look: Callable[[Sequence[Any]], None] | None = None
    """Judges what came of the programs (`sandbox.probe.script.Ran`) beyond the common criteria;
    raises AssertionError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenGrader:
    """What a faulty grader does, in steps of the probe grader; each script is a run of its own."""

    scripts: tuple[Sequence[Mapping[str, Any]], ...] = field(repr=False)
    response: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """A case with steps of its own. Raises AssertionError, saying what happened instead."""

    carry_out: Callable[[Bench], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A case that the sandbox does not decide; `tests` is the file that proves it."""

    decided_by: str
    tests: str


Plan = Submission | BrokenGrader | Procedure | Elsewhere

COMPLETED = "completed"
GRADER_FAILED = "grader-failed"
LEARNER_LIMIT = "learner-limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must come of a case. The common criteria hold beside it: see `trying`."""

    verdicts: frozenset[str] = frozenset({"exited"})
    """What the learner's execution may end as."""
    ends: frozenset[str] = frozenset({COMPLETED})
    """What the whole run may end as."""
    gains: frozenset[str] = frozenset()
    """Gains that are known and accepted; anything else the program got fails the case."""

    def __str__(self) -> str:
        if self.ends != {COMPLETED}:
            return " or ".join(sorted(self.ends))
        words = " or ".join(sorted(self.verdicts))
        return f"{words}; gains {', '.join(sorted(self.gains))}" if self.gains else words


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """An engine on which the outcome is another one, and why that is accepted."""

    reason: str
    expected: Expected | None = None
    """None where the case cannot be tried on that engine at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostileCase:
    number: str
    """As in the project's list of hostile submissions; letters mark variants of a number."""
    name: str
    group: Group
    attack: str
    outcome: str
    """What must come of it, for people."""
    plan: Plan
    expected: Expected = Expected()
    deviations: Mapping[Engine, Deviation] = field(default_factory=dict)
    alone: bool = False
    """Not beside other cases: it measures, or fills what all runs of a host share."""

    def expected_on(self, engine: Engine) -> Expected | None:
        deviation = self.deviations.get(engine)
        return self.expected if deviation is None else deviation.expected


def verdicts(*words: str) -> Expected:
    return Expected(verdicts=frozenset(words))


def ends(*words: str) -> Expected:
    return Expected(ends=frozenset(words))


def hostile(source: str, **of_program: Any) -> Submission:
    """A submission of one program."""
    return Submission(programs=(Program(source=source, **of_program),))
