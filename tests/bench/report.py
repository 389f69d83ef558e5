"""The results as text: lines while the bench runs, and the tables of docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.capacity import suite as capacity
from tests.bench.grading.measures import Campaign, lines
from tests.bench.result import PhaseResult

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
GRADING_BEGIN, GRADING_END = "<!-- bench:grading:begin -->", "<!-- bench:grading:end -->"
MARKERS = {
    "grading": (GRADING_BEGIN, GRADING_END),
    "server": (BEGIN, END),
    "capacity": (capacity.BEGIN, capacity.END),
}
"""Of each suite."""
HEADINGS = ("phase", "c", "req/s", "p50 ms", "p95 ms", "CPU ms", "of it db", "client", "wrong")
_WIDTHS = (24, 3, 9, 9, 9, 8, 9, 8, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What a phase is meant to reach, at concurrency 8."""

    most_cpu_ms: float | None = None
    least_per_s: float | None = None

    def is_met(self, result: PhaseResult) -> bool:
        return (self.most_cpu_ms is None or result.server_cpu_ms <= self.most_cpu_ms) and (
            self.least_per_s is None or result.per_s >= self.least_per_s
        )


AIMS = {
    "submit": Aim(most_cpu_ms=2.0, least_per_s=450),
    "get": Aim(most_cpu_ms=2.0, least_per_s=450),
    "lms_submit": Aim(most_cpu_ms=4.0, least_per_s=150),
    "get+put": Aim(least_per_s=250),
}
AIM_CONCURRENCY = 8
LEAST_SHARE_OF_EMPTY = 0.9


def headings() -> str:
    return "  ".join(h.ljust(w) if i == 0 else h.rjust(w) for i, (h, w) in _columns(HEADINGS))


def line(result: PhaseResult) -> str:
    cells = [_title(result), *_cells(result)]
    text = "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in _columns(cells))
    return text + (f"  {result.first_error[:120]}" if result.first_error else "")


def _columns(cells: Sequence[str]) -> Iterable[tuple[int, tuple[str, int]]]:
    return enumerate(zip(cells, _WIDTHS, strict=True))


def _title(result: PhaseResult) -> str:
    return result.phase if result.pending is None else f"{result.phase} @ {result.pending:,}"


def _cells(result: PhaseResult) -> list[str]:
    wrong = str(result.errors)
    if result.duplicates:
        wrong += f" (+{result.duplicates} dup)"
    return [
        str(result.concurrency),
        f"{result.per_s:.0f}",
        f"{result.p50_ms:.2f}",
        f"{result.p95_ms:.2f}",
        f"{result.server_cpu_ms:.2f}",
        f"{result.database_cpu_ms:.2f}" if result.backend == "postgresql" else "-",
        f"{result.client_cpu_ms:.2f}",
        wrong,
    ]


# -- verdicts ------------------------------------------------------------------------------------


def verdicts(results: Sequence[PhaseResult]) -> list[str]:
    """One line for every aim that was measured, and one for each backlog phase."""
    return [*_aim_lines(results), *_backlog_lines(results)]


def _aim_lines(results: Sequence[PhaseResult]) -> Iterable[str]:
    for result in results:
        aim = AIMS.get(result.phase)
        if aim and result.pending is None and result.concurrency == AIM_CONCURRENCY:
            asked = [f"<= {aim.most_cpu_ms:.1f} CPU ms"] if aim.most_cpu_ms else []
            asked += [f">= {aim.least_per_s:.0f}/s"] if aim.least_per_s else []
            yield (
                f"{result.backend} {result.phase}: {result.server_cpu_ms:.2f} CPU ms, "
                f"{result.per_s:.0f}/s (aim {', '.join(asked)}): "
                f"{'met' if aim.is_met(result) else 'MISSED'}"
            )


def _backlog_lines(results: Sequence[PhaseResult]) -> Iterable[str]:
    """Requests a second with the longest backlog as a share of those with none."""
    of_backlog = [r for r in results if r.pending is not None]
    for backend, phase in dict.fromkeys((r.backend, r.phase) for r in of_backlog):
        series = [r for r in of_backlog if (r.backend, r.phase) == (backend, phase)]
        empty = min(series, key=lambda r: r.pending or 0)
        longest = max(series, key=lambda r: r.pending or 0)
        if empty.pending == 0 and longest.pending:
            share = longest.per_s / empty.per_s
            cpu_share = longest.server_cpu_ms / empty.server_cpu_ms
            met = "met" if share >= LEAST_SHARE_OF_EMPTY else "MISSED"
            yield (
                f"{backend} {phase} at {longest.pending:,} pending: {share:.0%} of empty's req/s, "
                f"{cpu_share:.0%} of its CPU (aim >= {LEAST_SHARE_OF_EMPTY:.0%}): {met}"
            )


# -- the document --------------------------------------------------------------------------------


def markers_of(suites: Sequence[str]) -> list[str]:
    return [marker for suite, own in MARKERS.items() if suite in suites for marker in own]


def make_ready(document: Path, markers: Sequence[str]) -> None:
    """To be called before anything is measured for it; one that is not there is begun.

    Raises: ValueError if it lacks a marker.
    """
    if not document.exists():
        document.write_text("\n".join(["# Measured", *markers, ""]), encoding="utf-8")
    text = document.read_text(encoding="utf-8")
    lacking = [marker for marker in markers if marker not in text]
    if lacking:
        raise ValueError(f"{document} lacks the markers {' and '.join(lacking)}")


def rewrite(document: Path, section: str, *, begin: str = BEGIN, end: str = END) -> None:
    """Put the section between the document's two markers; what is between others stays.

    Raises: ValueError if they lack.
    """
    text = document.read_text(encoding="utf-8")
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{document} lacks the markers {begin} and {end}")
    document.write_text(f"{before}{begin}\n\n{section}\n{end}{after}", encoding="utf-8")


def grading_section(machine: dict[str, str], command: str, campaign: Campaign) -> str:
    return "\n".join(
        [
            f"Measured {machine['date']} with `{command}`.\n",
            _facts(machine),
            *lines(campaign.rows),
            "",
            *(f"- {verdict}" for verdict in campaign.verdicts),
            "",
        ]
    )


def section(machine: dict[str, str], command: str, results: Sequence[PhaseResult]) -> str:
    parts = [f"Measured {machine['date']} with `{command}`.\n", _facts(machine)]
    for backend in dict.fromkeys(result.backend for result in results):
        own = [result for result in results if result.backend == backend]
        parts.append(f"### {machine.get(backend, backend)}\n")
        parts.append(_table([r for r in own if r.pending is None]))
        parts.append(f"With a backlog (waiting submissions in the queue) on {backend}:\n")
        parts.append(_table([r for r in own if r.pending is not None]))
    parts.append("### Against the aims\n")
    parts.append("\n".join(f"- {text}" for text in verdicts(results)) + "\n")
    return "\n".join(parts)


def _facts(machine: dict[str, str]) -> str:
    rows = [f"| {name} | {value} |" for name, value in machine.items() if name != "date"]
    return "\n".join(["| machine | |", "|---|---|", *rows, ""])


def _table(results: Sequence[PhaseResult]) -> str:
    rows = [" | ".join(["", _title(r), *_cells(r), ""]).strip() for r in results]
    head = " | ".join(["", *HEADINGS, ""]).strip()
    rule = "|---|" + "---:|" * (len(HEADINGS) - 1)
    return "\n".join([head, rule, *rows, ""])
