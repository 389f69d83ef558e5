"""A picture of panels with a common time axis, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 900, 64, 24, 34, 46
PANEL_HEIGHT, GAP = 190, 46
LEGEND_EVERY = 22
FONT = "font-family='system-ui, Helvetica, Arial, sans-serif'"

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    name: str
    colour: str
    points: Sequence[Point]
    width: float = 1.8
    dashes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    title: str
    lines: Sequence[Line]
    most: float
    ticks: Sequence[float]
    least: float = 0.0
    is_log: bool = False
    bars: Sequence[Point] = ()
    """(middle, height)."""
    bar_width: float = 0.0

    def height_of(self, value: float) -> float:
        """As a share of the panel."""
        inside = min(max(value, self.least), self.most)
        if self.is_log:
            return math.log(inside / self.least) / math.log(self.most / self.least)
        return (inside - self.least) / (self.most - self.least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    least: float
    most: float
    ticks: Sequence[tuple[float, str]]
    marked: float
    """Where a line goes down through all panels."""

    def x(self, value: float) -> float:
        share = (value - self.least) / (self.most - self.least)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def draw(panels: Sequence[Panel], axis: Axis, *, about: str) -> str:
    """The SVG document; `about` is for who can not see it."""
    legend = _legend([line for panel in panels for line in panel.lines])
    top = TOP + len(legend) // 3 * LEGEND_EVERY
    height = top + len(panels) * (PANEL_HEIGHT + GAP) - GAP + BOTTOM
    parts = [
        (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img' "
            f"aria-label='{escape(about)}' {FONT} font-size='13'>"
        ),
        f"<rect width='{WIDTH}' height='{height}' fill='white'/>",
        *legend,
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, axis, top + number * (PANEL_HEIGHT + GAP))
    bottom = height - BOTTOM
    parts += [
        f"<text x='{axis.x(at):.0f}' y='{bottom + 20}' text-anchor='middle'>{escape(text)}</text>"
        for at, text in axis.ticks
    ]
    return "\n".join([*parts, "</svg>", ""])


def _legend(lines: Sequence[Line]) -> list[str]:
    """Each name once, three in a row."""
    first = {line.name: line for line in reversed(lines)}
    named = [line for line in lines if first[line.name] is line]
    parts = []
    for number, line in enumerate(named):
        x, y = LEFT + number % 3 * 270, 20 + number // 3 * LEGEND_EVERY
        dashes = f" stroke-dasharray='{line.dashes}'" if line.dashes else ""
        parts.append(
            f"<line x1='{x}' x2='{x + 26}' y1='{y - 4}' y2='{y - 4}' stroke='{line.colour}' "
            f"stroke-width='{line.width}'{dashes}/>"
            f"<text x='{x + 34}' y='{y}'>{escape(line.name)}</text>"
        )
    return parts


def _panel(panel: Panel, axis: Axis, top: float) -> Iterator[str]:
    def y(value: float) -> float:
        return top + PANEL_HEIGHT * (1 - panel.height_of(value))

    yield f"<text x='{LEFT}' y='{top - 10}' font-weight='600'>{escape(panel.title)}</text>"
    for tick in panel.ticks:
        yield (
            f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y(tick):.1f}' y2='{y(tick):.1f}' "
            "stroke='#ddd'/>"
            f"<text x='{LEFT - 8}' y='{y(tick) + 4:.1f}' text-anchor='end' fill='#555'>"
            f"{tick:g}</text>"
        )
    half = panel.bar_width / 2
    for middle, value in panel.bars:
        x, width = axis.x(middle - half), axis.x(middle + half) - axis.x(middle - half)
        yield (
            f"<rect x='{x:.1f}' y='{y(value):.1f}' width='{max(width - 0.6, 0.5):.1f}' "
            f"height='{top + PANEL_HEIGHT - y(value):.1f}' fill='#c8d3dc'/>"
        )
    marked = axis.x(axis.marked)
    yield (
        f"<line x1='{marked:.1f}' x2='{marked:.1f}' y1='{top}' y2='{top + PANEL_HEIGHT}' "
        "stroke='#333' stroke-dasharray='2 3'/>"
    )
    for line in panel.lines:
        yield _line(line, [(axis.x(at), y(value)) for at, value in line.points])


def _line(line: Line, points: Sequence[Point]) -> str:
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    path += [f"L{x:.1f} {y:.1f}" for x, y in points[1:]]
    dashes = f" stroke-dasharray='{line.dashes}'" if line.dashes else ""
    return (
        f"<path d='{''.join(path)}' fill='none' stroke='{line.colour}' "
        f"stroke-width='{line.width}' stroke-linejoin='round'{dashes}/>"
    )
