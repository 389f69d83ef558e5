"""`make bench`: what the server does in a second, what a request costs it, how fast it grades.

Not part of the tests. See docs/performance.md for the method.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path

from tests.bench import event_streams, learner_pages, machine, report
from tests.bench.campaign import QUEUES, Campaign
from tests.bench.capacity import suite as capacity
from tests.bench.database import NoPostgres, check, open_database
from tests.bench.exam_day import day
from tests.bench.grading import measures
from tests.bench.phases import PHASES
from tests.bench.result import PhaseResult
from tests.bench.scratch import HERE, scratch
from tests.bench.server import serving

BACKENDS = ("sqlite", "postgresql")
EXAM_SUITES = ("exam-day", "learner-pages", "event-streams")
SUITES = ("server", "grading", "capacity", *EXAM_SUITES)
FULL_PENDING = (0, 20_000, 100_000, 1_000_000)
QUICK_PENDING = (0, 10_000)
FULL_HISTORY = 1_000_000
QUICK_HISTORY = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    backends: tuple[str, ...]
    is_quick: bool
    phases: tuple[str, ...]
    pending: tuple[int, ...]
    history: int
    json: Path
    markdown: Path | None
    directory: Path
    command: str
    suites: tuple[str, ...]


def main() -> int:
    options = _options(sys.argv[1:])
    if options.markdown:
        report.make_ready(options.markdown, report.markers_of(options.suites))
    backends = options.backends if "server" in options.suites else ()
    of_exams = [suite for suite in EXAM_SUITES if suite in options.suites]
    for backend in options.backends if of_exams else backends:
        check(backend)
    with scratch(options.directory) as directory:
        facts = machine.describe(directory)
        _say(f"{'command':8} {options.command}")
        _say("\n".join(f"{name:8} {value}" for name, value in facts.items()))
        results: list[PhaseResult] = []
        for backend in backends:
            results += _measure(backend, options, directory, facts)
        if "grading" in options.suites:
            _measure_grading(options, directory, facts)
        if "capacity" in options.suites:
            _simulate_capacity(options, facts)
        is_well = [_sit(suite, options, directory) for suite in of_exams]
    if backends:
        _publish(options, facts, results)
    return 1 if any(r.errors or r.duplicates for r in results) or not all(is_well) else 0


def _measure_grading(options: Options, directory: Path, facts: dict[str, str]) -> None:
    campaign = measures.Campaign(
        is_quick=options.is_quick, say=lambda row: _say(measures.line(row))
    )
    _say("\n" + "\n".join(list(measures.lines([]))))
    campaign.run(directory)
    _say("\n" + "\n".join(map(str, campaign.verdicts)))
    if options.markdown:
        report.rewrite(
            options.markdown,
            report.grading_section(facts, options.command, campaign),
            begin=report.GRADING_BEGIN,
            end=report.GRADING_END,
        )
        _say(f"written: {options.markdown}")


def _simulate_capacity(options: Options, facts: dict[str, str]) -> None:
    rows, _ = capacity.run(_say)
    if options.markdown:
        section = capacity.section(facts, options.command, rows)
        report.rewrite(options.markdown, section, begin=capacity.BEGIN, end=capacity.END)
        picture = options.markdown.parent / capacity.PICTURE
        picture.parent.mkdir(exist_ok=True)
        picture.write_text(capacity.picture(), encoding="utf-8")
        _say(f"written: {options.markdown}, {picture}")


def _measure(
    kind: str, options: Options, directory: Path, facts: dict[str, str]
) -> list[PhaseResult]:
    own = directory / kind
    own.mkdir(mode=0o711)
    begun = time.monotonic()
    with open_database(kind, own) as database, serving(database, own, QUEUES) as server:
        facts[kind] = database.version
        _say(f"\n{database.version}\n{report.headings()}")
        campaign = Campaign(
            server,
            database,
            is_quick=options.is_quick,
            report=lambda result: _say(report.line(result)),
        )
        results = list(campaign.run(options.phases, options.pending, history=options.history))
    _say(f"({time.monotonic() - begun:.0f} s)")
    shutil.rmtree(own)
    return results


def _sit(suite: str, options: Options, directory: Path) -> bool:
    """Whether everything was as it must be, on each database."""
    found = []
    for kind in options.backends:
        own = directory / f"{suite}-{kind}"
        own.mkdir(mode=0o711)
        _say(f"\n{suite}")
        found.append(_run_exam_suite(suite, kind, own, is_quick=options.is_quick))
        shutil.rmtree(own)
    return all(found)


def _run_exam_suite(suite: str, kind: str, folder: Path, *, is_quick: bool) -> bool:
    match suite:
        case "exam-day":
            learners, seconds = (100, 30) if is_quick else (1000, 90)
            return day.run(kind, folder, learners=learners, seconds=seconds)
        case "learner-pages":
            seconds, turns = (5, 1) if is_quick else (20, 3)
            return learner_pages.run(kind, folder, pages=600, seconds=seconds, turns=turns)
        case _:
            return event_streams.run(kind, folder, streams=500, seconds=5 if is_quick else 30)


def _publish(options: Options, facts: dict[str, str], results: list[PhaseResult]) -> None:
    _say("\n" + "\n".join(report.verdicts(results)))
    document = {
        "machine": facts,
        "command": options.command,
        "results": [dataclasses.asdict(result) for result in results],
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1) + "\n")
    _say(f"written: {options.json}")
    if options.markdown:
        report.rewrite(options.markdown, report.section(facts, options.command, results))
        _say(f"written: {options.markdown}")


def _options(arguments: list[str]) -> Options:
    names = [phase.name for phase in PHASES]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--quick", action="store_true", help="fewer requests, a short backlog")
    parser.add_argument("--json", type=Path, default=Path("var/bench.json"))
    parser.add_argument("--markdown", type=Path, help="rewrite the tables of this document")
    parser.add_argument("--phases", default=",".join(names), help=f"of {','.join(names)}")
    parser.add_argument("--suites", default="server,grading", help=f"of {','.join(SUITES)}")
    parser.add_argument("--pending", help="lengths of the backlog; '-' for none")
    parser.add_argument("--history", type=int, help="submissions that are there before the backlog")
    parser.add_argument("--directory", type=Path, default=HERE)
    given = parser.parse_args(arguments)
    unknown = set(given.phases.split(",")) - set(names)
    if unknown:
        parser.error(f"no such phase: {', '.join(sorted(unknown))}")
    unknown = set(given.suites.split(",")) - set(SUITES)
    if unknown:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    return Options(
        backends=BACKENDS if given.backend == "both" else (given.backend,),
        is_quick=given.quick,
        phases=tuple(given.phases.split(",")),
        pending=_pending(given.pending, given.quick),
        history=_history(given.history, given.quick),
        json=given.json,
        markdown=given.markdown,
        directory=given.directory,
        command=" ".join(["python -m tests.bench", *arguments]),
        suites=tuple(given.suites.split(",")),
    )


def _history(given: int | None, is_quick: bool) -> int:
    if given is not None:
        return given
    return QUICK_HISTORY if is_quick else FULL_HISTORY


def _pending(text: str | None, is_quick: bool) -> tuple[int, ...]:
    if text is None:
        return QUICK_PENDING if is_quick else FULL_PENDING
    return tuple(int(each) for each in text.split(",") if each.isdecimal())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except NoPostgres as error:
        sys.exit(str(error))
