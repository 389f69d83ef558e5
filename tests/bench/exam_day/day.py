"""The day of an exam, from the first registration to the last review."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench import durations
from tests.bench.database import open_database
from tests.bench.exam_day import audit, people
from tests.bench.exam_day.audit import Story
from tests.bench.exam_day.hall import Hall, Sat, opened, wait_until
from tests.bench.exam_day.people import Learner, Measured
from tests.bench.exam_day.watching import Watching, watching

STREAMS = 4
BEFORE_ALL_S = 2.0
SETTLE_S = 300.0
FAR = timedelta(days=1)


def run(kind: str, folder: Path, *, learners: int, seconds: float) -> bool:
    """Whether every check holds. `kind`: of the database."""
    with open_database(kind, folder) as database, opened(database, folder) as hall:
        _say(f"{database.version}, {learners} learners, an exam of {seconds:.0f} s")
        told, watched, sats, measured = _sit(hall, learners, seconds)
        found = list(audit.checks(hall, sats, told, watched))
    _show_figures(told, watched, measured)
    _say("")
    for each in found:
        _say(each.line)
    for complaint in measured.complaints[: audit.MOST_SHOWN]:
        _say(f"failed: {complaint}")
    _say(f"requests that failed: {len(measured.complaints)}")
    return all(each.holds for each in found) and not measured.complaints


def _sit(
    hall: Hall, count: int, seconds: float
) -> tuple[list[Story], Watching, list[Sat], Measured]:
    measured = Measured()
    sats = hall.enter_exams(datetime.now(UTC) + FAR)
    with watching(hall, STREAMS) as watched, _grading(hall, measured):
        learners = people.learners_for(sats, count)
        with _phase(hall, "registration"):
            _all_at_once(hall, [[people.register(each, 0)] for each in learners], measured)
        with _phase(hall, "readying"):
            _all_at_once(hall, [[people.ready(each, 0)] for each in learners], measured)
        sats = _due_in(hall, sats, learners, seconds)
        with _phase(hall, "the exam"):
            _write(hall, learners, seconds, measured)
            _settle(hall, learners)
        with _phase(hall, "reviews"):
            _all_at_once(hall, [[people.review(each, 0)] for each in learners], measured)
            _settle(hall, learners)
        told = audit.stories(hall, learners)
        _wait_for_news(hall, told, watched)
    return told, watched, sats, measured


def _due_in(
    hall: Hall, sats: Sequence[Sat], learners: Sequence[Learner], seconds: float
) -> list[Sat]:
    """Now that everybody is there: all exams end at the same instant."""
    due_at = datetime.now(UTC) + timedelta(seconds=BEFORE_ALL_S + seconds)
    found = {}
    for sat in sats:
        with hall.store.write() as session:
            exam = session.exams.change(sat.exam.id, due_at=due_at)
        found[exam.id] = replace(sat, exam=exam)
    for learner in learners:
        learner.sat = found[learner.sat.exam.id]
    return list(found.values())


def _write(hall: Hall, learners: Sequence[Learner], seconds: float, measured: Measured) -> None:
    began_s = time.monotonic() + BEFORE_ALL_S
    of_learners = [people.deeds_of(each, hall, began_s, seconds) for each in learners]
    of_proctors = [people.deeds_about(each, began_s, seconds) for each in learners]
    lanes = [
        *people.in_lanes(people.LANES, of_learners),
        *people.in_lanes(people.PROCTORS, of_proctors),
    ]
    asking = people.ask_from_pages(hall, learners, began_s, seconds, measured)
    people.join([*people.begin(hall, lanes, measured), *asking])


def _all_at_once(hall: Hall, deeds: Sequence[Sequence[people.Deed]], measured: Measured) -> None:
    """As fast as it goes; nothing of that is late."""
    own = replace(measured, late_s=[])
    people.join(people.begin(hall, people.in_lanes(people.LANES, deeds), own))


@contextmanager
def _grading(hall: Hall, measured: Measured) -> Iterator[None]:
    stop = threading.Event()
    graders = people.grade_until(stop, hall, measured)
    try:
        yield
    finally:
        stop.set()
        people.join(graders)


# -- waiting -------------------------------------------------------------------------------------


def _settle(hall: Hall, learners: Sequence[Learner]) -> None:
    def is_so() -> bool:
        return audit.is_quiet(hall) and not audit.count_writing(hall, learners)

    wait_until(hall, "all attempts have ended and everybody is told", is_so, SETTLE_S)


def _wait_for_news(hall: Hall, told: Sequence[Story], watched: Watching) -> None:
    """What is missing after that is missing."""
    last = {(each.attempt.id, each.path[-1]) for each in told}

    def is_so() -> bool:
        return all(
            last <= {(each.attempt_id, each.kind) for each in stream}
            for stream in watched.by_stream
        )

    try:
        wait_until(hall, "every open page is told of the last changes", is_so, 30)
    except TimeoutError as error:
        _say(f"{error}")


# -- saying --------------------------------------------------------------------------------------


@contextmanager
def _phase(hall: Hall, name: str) -> Iterator[None]:
    """Says what it took of each program."""
    before, began_s = hall.cpu_s(), time.monotonic()
    yield
    took_s = time.monotonic() - began_s
    after, memory = hall.cpu_s(), hall.memory_mib()
    used = {each: after[each] - before[each] for each in after}
    _say(f"{name}: {took_s:.1f} s; {_costs(used, memory)}")


def _costs(used_s: Mapping[str, float], memory_mib: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} {used_s[name]:.1f} CPU s {memory_mib[name]:.0f} MiB" for name in used_s
    )


def _show_figures(told: Sequence[Story], watched: Watching, measured: Measured) -> None:
    _say("")
    for kind, took_s in measured.took_s.items():
        _say(durations.line(kind, took_s))
    if measured.unchanged:
        share = sum(measured.unchanged) / len(measured.unchanged)
        _say(f"  of which unchanged (304): {share:.0%}")
    for kind, count in Counter(measured.again).items():
        _say(f"answered 503 and done again: {kind}, {count}")
    _say(durations.line("a deed begun later than planned", measured.late_s))
    _say(durations.line("expiry to the end by the clock", audit.lag_of_the_clock_s(told)))
    _say(durations.line("change to an open page", audit.lag_of_news_s(told, watched)))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
