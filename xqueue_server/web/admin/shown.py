"""How pages write moments, durations, sizes and numbers."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

ZONE = Markup("<span data-zone>UTC</span>")
"""Whose time stands below or beside it; our script puts the reader's there, and tells both."""
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def duration(seconds: float | None) -> str:
    """The two largest units that say it, e.g. `1 h 30 min`; short ones finer."""
    if seconds is None:
        return ""
    if 0 < seconds < 0.001:
        return "under 1 ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds > 0 else "0 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole, parts = round(seconds), []
    for unit, size in _UNITS:
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def age(seconds: float | None) -> str:
    """Coarse, so that a page that says it does not change every second."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{max(0, int(seconds // 5 * 5))} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 2 * 86_400:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    return f"{int(seconds // 86_400)} d"


def moment(value: datetime | None) -> Markup:
    """A time element: to the second, in UTC; the day is left out by nobody."""
    if value is None:
        return Markup("")
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.isoformat(timespec="milliseconds"), utc.strftime("%Y-%m-%d %H:%M:%S")
    )


_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC")


def moments(text: str) -> Markup:
    """A sentence whose moments are time elements."""
    return Markup(  # noqa: S704 - escaped, and what is put in has digits only
        _MOMENT.sub(r'<time datetime="\1T\2Z">\g<0></time>', str(escape(text)))
    )


def number(value: float | None) -> str:
    """Thousands apart, by a space that does not break."""
    if value is None:
        return ""
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
    return text.replace(",", "\u202f")


def size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"


def short(code: str) -> str:
    """What is too long for a column: its two ends."""
    return code if len(code) <= 16 else f"{code[:8]}…{code[-4:]}"


def words(code: object) -> str:
    """`given_up` -> `given up`."""
    return str(code).replace("_", " ")


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{number(count)} {one if count == 1 else many or one + 's'}"
