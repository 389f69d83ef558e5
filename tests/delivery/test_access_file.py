"""The LMS access file: read once, checked, and silent about its secrets."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.delivery.certificates import Authority
from xqueue_server.errors import SettingsError
from xqueue_server.transport.access import Access, read_access

LMS = "https://lms.example.org"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "access.toml"
    path.write_text(text)
    return path


def read(path: Path | None) -> dict[str, Access]:
    return dict(read_access(path, allows_origin=lambda origin: "lms" in origin))


def test_no_file_means_no_entries() -> None:
    assert read(None) == {}


def test_basic_credentials_are_read_from_their_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pä:ss\n")
    path = write(
        tmp_path,
        f'["{LMS}"]\nbasic_user = "xqueue"\nbasic_password_file = "{tmp_path}/password"\n',
    )
    expected = base64.b64encode("xqueue:pä:ss".encode()).decode()
    assert read(path)[LMS].authorization == f"Basic {expected}"


def test_a_bearer_token_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    path = write(tmp_path, f'["{LMS}"]\nbearer_token_file = "{tmp_path}/token"\n')
    assert read(path)[LMS].authorization == "Bearer t0ken"


def test_a_ca_bundle_replaces_the_systems_authorities(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(Authority().pem)
    path = write(tmp_path, f'["{LMS}"]\nca_bundle = "{tmp_path}/ca.pem"\n')
    tls = read(path)[LMS].tls
    assert tls is not None
    assert len(tls.get_ca_certs()) == 1


def test_secrets_do_not_show(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken")
    path = write(tmp_path, f'["{LMS}"]\nbearer_token_file = "{tmp_path}/token"\n')
    assert "t0ken" not in repr(read(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["https://lms.example.org"]\nca_bundel = "x"', "did you mean ca_bundle"),
        ('["https://lms.example.org"]\nxyzzy = "x"', "known are ca_bundle, basic_user"),
        ('["https://lms.example.org/"]\n', "is not an origin like"),
        ('["https://LMS.example.org"]\n', "is not an origin like"),
        ('["https://other.example"]\n', "is not in XQUEUE_LMS_ORIGINS"),
        ('"https://lms.example.org" = 1\n', "must be a table"),
        ('["https://lms.example.org"]\nbasic_user = 1', "basic_user must be a text"),
        ('["https://lms.example.org"]\nbasic_user = "x"', "belong together"),
        ('["https://lms.example.org"]\nbearer_token_file = "/no/such"', "can not read /no/such"),
        ('["https://lms.example.org"]\nca_bundle = "/no/such"', "can not use ca_bundle"),
        ('["http://lms"]\nca_bundle = "/no/such"', "no meaning without https"),
        ("[[", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_the_mend(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read(write(tmp_path, text))


def test_two_kinds_of_credentials_are_refused(tmp_path: Path) -> None:
    text = f'["{LMS}"]\nbasic_user="a"\nbasic_password_file="b"\nbearer_token_file="c"'
    with pytest.raises(SettingsError, match="not both"):
        read(write(tmp_path, text))


@pytest.mark.parametrize("secret", ["", "  \n", "two\nlines", "nul\0"])
def test_a_secret_that_can_not_be_a_header_is_refused(tmp_path: Path, secret: str) -> None:
    (tmp_path / "token").write_text(secret)
    with pytest.raises(SettingsError, match="the secret alone"):
        read(write(tmp_path, f'["{LMS}"]\nbearer_token_file = "{tmp_path}/token"'))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can not read"):
        read(tmp_path / "nothing.toml")
