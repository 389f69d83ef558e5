"""The settings of signing in: what is refused with which word, and that secrets stay hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from xqueue_server import settings
from xqueue_server.cli.setting_list import HIDDEN, settings_now
from xqueue_server.errors import SettingsError
from xqueue_server.settings import SETTINGS, LmsOauthSettings, OidcSettings

OIDC = {"XQUEUE_OIDC_ISSUER": "https://id.example.org", "XQUEUE_OIDC_CLIENT_ID": "xqueue"}
LMS = {
    "XQUEUE_LMS_OAUTH_URL": "https://lms.example.org/",
    "XQUEUE_LMS_OAUTH_CLIENT_ID": "xqueue",
    "XQUEUE_LMS_OAUTH_CLIENT_SECRET": "a secret of ours",
}


def load(tmp_path: Path, **given: str) -> settings.Settings:
    return settings.load({"XQUEUE_DATA_DIR": str(tmp_path)} | given)


def test_without_any_there_are_local_accounts_only(tmp_path: Path) -> None:
    loaded = load(tmp_path, XQUEUE_PUBLIC_URL="https://xqueue.example.org/")

    assert loaded.identity_provider is None
    assert loaded.admin_url == "https://xqueue.example.org"
    assert loaded.administrators == ()


def test_an_issuer_is_kept_to_the_letter_and_an_lms_without_its_slash(tmp_path: Path) -> None:
    issuer = load(tmp_path, **OIDC | {"XQUEUE_OIDC_ISSUER": "https://id.example.org/"})
    lms = load(tmp_path, **LMS, XQUEUE_ADMIN_SUBJECTS=" olga, o@x.org ,")

    assert isinstance(issuer.identity_provider, OidcSettings)
    assert issuer.identity_provider.issuer == "https://id.example.org/"
    assert isinstance(lms.identity_provider, LmsOauthSettings)
    assert lms.identity_provider.url == "https://lms.example.org"
    assert lms.administrators == ("olga", "o@x.org")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (OIDC | LMS, "both set"),
        ({"XQUEUE_OIDC_ISSUER": "https://id.example.org"}, "XQUEUE_OIDC_CLIENT_ID is required"),
        (OIDC | {"XQUEUE_OIDC_ISSUER": "id.example.org"}, "XQUEUE_OIDC_ISSUER"),
        (LMS | {"XQUEUE_LMS_OAUTH_CLIENT_SECRET": ""}, "XQUEUE_LMS_OAUTH_CLIENT_SECRET"),
        (LMS | {"XQUEUE_LMS_OAUTH_CLIENT_ID": ""}, "XQUEUE_LMS_OAUTH_CLIENT_ID is required"),
        ({"XQUEUE_ADMIN_URL": "xqueue.example.org"}, "XQUEUE_ADMIN_URL"),
    ],
)
def test_what_can_not_be_is_refused_by_name(
    tmp_path: Path, given: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        load(tmp_path, **given)


def test_secrets_are_hidden_in_the_list_and_in_what_is_printed(tmp_path: Path) -> None:
    given = LMS | {"XQUEUE_OIDC_CLIENT_SECRET": "another secret", "XQUEUE_DATA_DIR": str(tmp_path)}
    loaded = settings.load(given)

    shown = {line.name: line.value for line in settings_now(loaded, given)}

    assert shown["XQUEUE_LMS_OAUTH_CLIENT_SECRET"] == HIDDEN
    assert shown["XQUEUE_OIDC_CLIENT_SECRET"] == HIDDEN
    assert "a secret of ours" not in repr(loaded)


def test_no_setting_that_is_called_a_secret_is_ever_shown(tmp_path: Path) -> None:
    names = [name for name in SETTINGS if name.endswith(("_SECRET", "_PASSWORD", "_SECRET_KEY"))]
    given = dict.fromkeys(names, "0123456789abcdef" * 2)

    shown = {line.name: line.value for line in settings_now(None, given)}

    assert len(names) >= 4
    assert {shown[name] for name in names} == {HIDDEN}
