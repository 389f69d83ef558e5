"""Dashboard and alerts name only what the programs show, and every alert is explained."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import Page
from tests.observability.scrape import scrape
from tests.observability.stack import running_stack
from tests.support.services import missing_service

TOP = Path(__file__).parents[2]
FOLDER = TOP / "deploy" / "observability"
RULES = FOLDER / "alerts.yml"
NAME = re.compile(r"\b(?:xqueue|http)_[a-z_]+\b")
OF_A_HISTOGRAM = re.compile(r"_(bucket|count|sum)$")
REFERENCE = TOP / "docs" / "reference" / "observability.md"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((FOLDER / "overview.json").read_text())
    return parsed


def expressions() -> list[str]:
    shown = [t["expr"] for panel in dashboard()["panels"] for t in panel.get("targets", [])]
    return [*shown, *(rule["expr"] for rule in rules())]


def names_in(text: str) -> set[str]:
    """Names of families, as Prometheus's own parser gives them: counters without `_total`."""
    found = {OF_A_HISTOGRAM.sub("", name) for name in NAME.findall(text)}
    return {name.removesuffix("_total") for name in found}


@pytest.fixture(scope="module")
def shown(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """What a server and a deliverer that have just started declare."""
    directory = tmp_path_factory.mktemp("shown")
    database = directory / "xqueue.db"
    database.write_bytes(migrated_sqlite.read_bytes())
    with running_stack(f"sqlite:///{database}", directory, workers=1) as stack:
        yield scrape(stack.web_port).declared | scrape(stack.deliver_port).declared


def test_every_metric_that_is_asked_for_is_shown(shown: set[str]) -> None:
    asked = set().union(*map(names_in, expressions()))
    assert len(asked) > 15
    assert asked - shown == set()


def test_every_metric_that_is_shown_is_explained_and_no_other(shown: set[str]) -> None:
    rows = re.findall(r"^\| `((?:xqueue|http)_[a-z_]+)", REFERENCE.read_text(), re.MULTILINE)
    assert {name.removesuffix("_total") for name in rows} == shown


def test_every_gauge_of_the_database_is_taken_once_though_all_servers_show_it() -> None:
    gauges = ("depth", "queued_age", "pending", "dead", "breaker", "workers", "silent")
    for expression in expressions():
        for name in NAME.findall(expression):
            if any(word in name for word in gauges):
                before = expression[: expression.index(name)]
                assert re.search(r"max( by \([a-z, ]+\))? ?\($", before), expression


def test_panels_do_not_lie_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_alert_has_its_section_of_the_page() -> None:
    for rule in rules():
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        page = Page(path=TOP / path, text=(TOP / path).read_text(encoding="utf-8"))
        assert anchor in page.anchors, rule["alert"]


def promtool(*arguments: str) -> str:
    if shutil.which("promtool") is None:
        missing_service("promtool")
    ran = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, check=False, cwd=FOLDER
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_prometheus_reads_the_rules_and_the_example() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", RULES.name)
    promtool("check", "config", "prometheus.yml")


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    promtool("test", "rules", "alerts_test.yml")
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    fired = {
        check["alertname"]
        for test in tests
        for check in test.get("alert_rule_test", [])
        if check.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in rules()}
