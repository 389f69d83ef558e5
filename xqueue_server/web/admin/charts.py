"""Charts as SVG, drawn here: no script, no style attributes, readable in both colour schemes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup, escape

WIDTH, HEIGHT = 420, 160
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 10, 24
_LABELS = 4
_NICE = (1, 2, 4, 6, 10)
_NICE_S = (1, 2, 4, 10, 20, 30, 60, 120, 240, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 86_400)

Shown = Callable[[float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    name: str
    values: Sequence[float | None]
    """One for each step; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    begin: datetime
    step: timedelta
    count: int

    @property
    def has_days(self) -> bool:
        """Too long for the time of day."""
        return self.step * self.count > timedelta(days=2)

    def at(self, index: int) -> datetime:
        return self.begin + index * self.step

    def label(self, index: int) -> str:
        return self.at(index).strftime("%d %b" if self.has_days else "%H:%M")


def line_chart(
    title: str, axis: Axis, series: Sequence[Series], shown: Shown, *, is_time: bool = False
) -> Markup:
    """Up to two lines over one time axis; `shown` writes a value of the other, which is in seconds
    if `is_time`."""
    highest = max((v for s in series for v in s.values if v is not None), default=0.0)
    top = _nice_seconds(highest) if is_time else _nice_top(highest)
    parts = [_grid(top, shown), _times(axis)]
    parts += [_line(s, index, top, axis.count) for index, s in enumerate(series, start=1)]
    return Markup(  # noqa: S704 - every text in it is escaped where it is put in
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(_told(title, series, shown))}">{"".join(parts)}</svg>'
    )


def _nice_top(highest: float) -> float:
    """A round number not below it."""
    if highest <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(highest))
    return next(n * size for n in _NICE if n * size >= highest * 0.999)


def _nice_seconds(highest: float) -> float:
    """The same, of which half can be said in few words, too."""
    return float(next((n for n in _NICE_S if n >= highest), _nice_top(highest)))


def _x(index: float, count: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * index / max(1, count - 1)


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)


def _grid(top: float, shown: Shown) -> str:
    lines = []
    for share in (0.0, 0.5, 1.0):
        y = _y(top * share, top)
        lines.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">'
            f"{escape(shown(top * share))}</text>"
        )
    return "".join(lines)


def _times(axis: Axis) -> str:
    labels = []
    for index in range(_LABELS + 1):
        at = round((axis.count - 1) * index / _LABELS)
        anchor = {0: "start", _LABELS: "end"}.get(index, "middle")
        labels.append(
            f'<text x="{_x(at, axis.count):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}" '
            f'data-{"day" if axis.has_days else "clock"}="{axis.at(at):%Y-%m-%dT%H:%M:%SZ}">'
            f"{axis.label(at)}</text>"
        )
    return "".join(labels)


def _line(series: Series, index: int, top: float, count: int) -> str:
    """With gaps where nothing is known; a value alone is a dot."""
    drawn = []
    for run in _runs(series.values):
        points = [f"{_x(i, count):.1f},{_y(value, top):.1f}" for i, value in run]
        if len(points) == 1:
            x, y = points[0].split(",")
            drawn.append(f'<circle class="s{index}" cx="{x}" cy="{y}" r="2"/>')
            continue
        if index == 1:
            floor = f"{_y(0, top):.1f}"
            first, last = points[0].split(",")[0], points[-1].split(",")[0]
            area = " ".join([f"{first},{floor}", *points, f"{last},{floor}"])
            drawn.append(f'<polygon class="a{index}" points="{area}"/>')
        drawn.append(f'<polyline class="s{index}" points="{" ".join(points)}"/>')
    return "".join(drawn)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]


def _told(title: str, series: Sequence[Series], shown: Shown) -> str:
    """The chart in words."""
    told = []
    for each in series:
        known = [value for value in each.values if value is not None]
        if known:
            told.append(f"{each.name} now {shown(known[-1])}, at most {shown(max(known))}")
    return f"{title}: {'; '.join(told) or 'nothing known'}"
