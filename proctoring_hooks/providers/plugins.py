"""Finding plug-ins: entry points of whatever is installed."""

from __future__ import annotations

from importlib.metadata import entry_points

from proctoring_hooks.providers.base import BadSettings, Entry, Provider

GROUP = "xqueue.proctoring_providers"


def known() -> list[str]:
    """Names of the plug-ins that are installed."""
    return sorted(entry_points(group=GROUP).names)


def load(entry: Entry) -> Provider:
    """The provider of an entry. Raises: BadSettings."""
    found = next(iter(entry_points(group=GROUP, name=entry.plugin)), None)
    if found is None:
        raise BadSettings(
            f"provider {entry.name}: no plug-in {entry.plugin} is installed; "
            f"there are {', '.join(known())}"
        )
    provider: Provider = found.load()(entry)
    return provider
