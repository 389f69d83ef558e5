"""Reading /metrics as Prometheus does."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from contextlib import closing

from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """One answer of /metrics, to be asked for single numbers."""

    def __init__(self, text: str) -> None:
        self._families = list(text_string_to_metric_families(text))
        self.samples = [sample for family in self._families for sample in family.samples]

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    @property
    def declared(self) -> set[str]:
        """Names of families, which are there before the first sample is."""
        return {family.name for family in self._families}

    def number(self, name: str, **labels: str) -> float:
        """The sample with exactly these labels; 0.0 if it is not there yet."""
        found = [s.value for s in self.samples if s.name == name and s.labels == labels]
        assert len(found) < 2, f"{name} {labels} twice"
        return found[0] if found else 0.0

    def total(self, name: str, **labels: str) -> float:
        """The sum over all samples that have at least these labels."""
        return sum(
            s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()
        )


def get(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Status and body, over a connection of its own, so that any worker may be the one."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read().decode()


def scrape(port: int) -> Scrape:
    status, text = get(port, "/metrics")
    assert status == 200, text
    return Scrape(text)
