"""The JSON form in which Python values cross from the learner's process, and how people read it.

JSON's own types stand for themselves; the rest are objects with one tag: `{"$tuple": […]}`,
`$set`, `$frozenset`, `$dict` (pairs, for keys that are not text), `$complex`, `$bytes`, and
`$other` for anything else, which equals nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BRACKETS = {"$tuple": "({})", "$set": "{{{}}}", "$frozenset": "frozenset({{{}}})"}
LONGEST_SHOWN = 500


def as_tagged(value: object) -> object:
    """The JSON form of a value an author wrote. What is in tagged form already stays as it is."""
    if isinstance(value, list):
        return [as_tagged(item) for item in value]
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: as_tagged(item) for key, item in value.items()}
        return {"$dict": [[as_tagged(key), as_tagged(item)] for key, item in value.items()]}
    if isinstance(value, tuple | set | frozenset):
        return {f"${type(value).__name__}": [as_tagged(item) for item in value]}
    if isinstance(value, complex):
        return {"$complex": [value.real, value.imag]}
    if isinstance(value, bytes):
        return {"$bytes": list(value)}
    return value


def tagged(value: object) -> tuple[str, object]:
    """The tag and the content of a tagged object; an empty tag for everything else."""
    if isinstance(value, dict) and len(value) == 1:
        ((tag, content),) = value.items()
        if isinstance(tag, str) and tag.startswith("$"):
            return tag, content
    return "", value


def show(value: object) -> str:
    """As a learner would write it, cut to a readable length, whatever a learner returned.

    Takes what an author wrote as well as the tagged form.
    """
    try:
        text = _show(as_tagged(value))
    except RecursionError:
        return "a value nested too deeply to be shown"
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + " …"


def _show(value: object) -> str:
    tag, content = tagged(value)
    if tag in BRACKETS and isinstance(content, list):
        comma = "," if tag == "$tuple" and len(content) == 1 else ""
        return BRACKETS[tag].format(_join(content) + comma) if content else f"{tag[1:]}()"
    if tag == "$dict" and isinstance(content, list):
        return "{" + ", ".join(_pair(pair) for pair in content) + "}"
    if tag == "$other" and isinstance(content, list) and content:
        return str(content[-1])
    if isinstance(value, list):
        return f"[{_join(value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_show(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _join(items: Sequence[object]) -> str:
    return ", ".join(_show(item) for item in items)


def _pair(pair: object) -> str:
    return ": ".join(_show(part) for part in pair) if isinstance(pair, list) else repr(pair)
