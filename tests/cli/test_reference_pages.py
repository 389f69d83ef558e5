"""The reference pages say everything, and nothing that is not so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.commands import Leaf, leaves
from xqueue_server.settings import SETTINGS
from xqueue_server.transport.access import KEYS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.fixture(scope="module")
def cli_page() -> str:
    return (REFERENCE / "cli.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def settings_page() -> str:
    return (REFERENCE / "settings.md").read_text(encoding="utf-8")


def section_of(page: str, noun: str) -> str:
    found = re.search(rf"^## `{noun}`$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/reference/cli.md has no section on {noun}"
    return found[1]


@pytest.mark.parametrize("leaf", leaves(), ids=str)
def test_every_command_and_option_is_on_the_page(leaf: Leaf, cli_page: str) -> None:
    section = section_of(cli_page, leaf.words[0])
    assert re.search(rf"{re.escape(str(leaf))}(?![\w-])", section)
    missing = [o for o in leaf.options if not re.search(rf"{re.escape(o)}(?![\w-])", section)]
    assert not missing


def test_every_command_on_the_page_exists(cli_page: str) -> None:
    known = {str(leaf) for leaf in leaves()}
    written = re.findall(r"^\| `(xqueue-server [a-z-]+(?: [a-z-]+)?)", cli_page, re.MULTILINE)
    assert set(written) == known


def test_every_setting_is_on_the_page(settings_page: str) -> None:
    rows = set(re.findall(r"^\| `(XQUEUE_[A-Z0-9_]+)`", settings_page, re.MULTILINE))
    assert rows == set(SETTINGS)


def test_the_pages_name_no_setting_that_does_not_exist(cli_page: str, settings_page: str) -> None:
    named = set(re.findall(r"\bXQUEUE_[A-Z0-9_]+[A-Z]\b", cli_page + settings_page))
    assert named <= set(SETTINGS) | {"XQUEUE_PORT", "XQUEUE_SERVICE"}


def test_every_key_of_the_lms_access_file_is_on_the_page(settings_page: str) -> None:
    assert [key for key in KEYS if f"`{key}`" not in settings_page] == []
