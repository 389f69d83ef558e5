"""`xqueue-server doctor`: is everything there that the server needs, and if not, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from xqueue_server import settings
from xqueue_server.cli.checks import CHECKS, Check
from xqueue_server.cli.checks_network import check_network
from xqueue_server.cli.finding import Finding, Verdict, fail, ok
from xqueue_server.cli.output import json_option, printable, show_json, show_table
from xqueue_server.cli.setting_list import settings_now
from xqueue_server.errors import SettingsError
from xqueue_server.settings import Settings


@click.command()
@click.option("--settings", "only_settings", is_flag=True, help="List every setting instead.")
@click.option("--network", is_flag=True, help="Also connect to each LMS, as `deliver` would.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, only_settings: bool, network: bool, as_json: bool) -> None:
    """Check everything that the server needs. Exit code 1 if something must be mended."""
    loaded = _load()
    if only_settings:
        findings = [_judged(loaded)]
        _show_settings(loaded, as_json)
    else:
        checks = (*CHECKS, check_network) if network else CHECKS
        findings = [_judged(loaded), *_examine(loaded, checks)]
        _show(findings, as_json)
    if any(f.verdict is Verdict.FAIL for f in findings):
        ctx.exit(1)


def _load() -> Settings | SettingsError:
    try:
        return settings.load()
    except SettingsError as error:
        return error


def _judged(loaded: Settings | SettingsError) -> Finding:
    if isinstance(loaded, SettingsError):
        return fail("settings", str(loaded), "mend it; nothing else was checked")
    return ok("settings", "all readable")


def _examine(loaded: Settings | SettingsError, checks: Sequence[Check]) -> Iterator[Finding]:
    if isinstance(loaded, Settings):
        for check in checks:
            yield from check(loaded)


def _show(findings: Sequence[Finding], as_json: bool) -> None:
    if as_json:
        show_json(findings)
        return
    width = max(len(f.what) for f in findings)
    for finding in findings:
        to_do = f" -> {finding.to_do}" if finding.to_do else ""
        line = f"{finding.verdict:<4}  {finding.what.ljust(width)}  {finding.found}{to_do}"
        click.echo(printable(line))


def _show_settings(loaded: Settings | SettingsError, as_json: bool) -> None:
    listed = settings_now(loaded if isinstance(loaded, Settings) else None)
    if isinstance(loaded, SettingsError):
        click.echo(f"Error: {loaded}", err=True)
    if as_json:
        show_json(listed)
    else:
        show_table(
            ["NAME", "VALUE", "SET", "MEANING"],
            [(s.name, s.value, s.is_set, s.meaning) for s in listed],
        )
