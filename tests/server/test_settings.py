"""The environment: every rule, and that no secret shows."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from xqueue_server import settings
from xqueue_server.errors import SettingsError
from xqueue_server.models.grader import Ceilings
from xqueue_server.settings import SETTINGS, Mode, Settings, load
from xqueue_server.settings.model import PingOutage

KEY = "0123456789abcdef" * 2
POSTGRES = "postgresql://user:hunter2@db/xqueue"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"XQUEUE_DATA_DIR": str(tmp_path / "data")}


def refused(env: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as raised:
        load(env)
    return str(raised.value)


def test_with_nothing_but_a_directory_it_is_a_production_server_on_sqlite(
    env: dict[str, str],
) -> None:
    loaded = load(env)
    assert loaded.mode is Mode.PRODUCTION
    assert loaded.is_sqlite
    assert loaded.database_url == f"sqlite:///{env['XQUEUE_DATA_DIR']}/xqueue.db"
    assert loaded.lms_origins == ()
    assert not loaded.allows_origin("http://127.0.0.1:8000")
    assert loaded.redis_url == ""
    assert loaded.max_body_bytes == loaded.max_file_bytes == 10 * 1024 * 1024


def test_names_of_other_programs_are_none_of_its_business(env: dict[str, str]) -> None:
    assert isinstance(load(env | {"PATH": "x", "XQUEUED": "x", "xqueue_mode": "x"}), Settings)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("XQUEUE_DATABASE", "XQUEUE_DATABASE_URL"),
        ("XQUEUE_LMS_ORIGIN", "XQUEUE_LMS_ORIGINS"),
        ("XQUEUE_SECRETKEY", "XQUEUE_SECRET_KEY"),
        ("XQUEUE_Mode", "XQUEUE_MODE"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_nearest_right_one(
    env: dict[str, str], name: str, meant: str
) -> None:
    assert refused(env | {name: ""}) == f"{name} is not a setting; did you mean {meant}?"


def test_a_name_that_resembles_none_is_refused_too(env: dict[str, str]) -> None:
    name = "XQUEUE_" + "Z" * 40
    assert refused(env | {name: "1"}).startswith(f"{name} is not a setting; see")


@pytest.mark.parametrize(
    "name",
    ["XQUEUE_PORT", "XQUEUE_PORT_8040_TCP", "XQUEUE_PORT_8040_TCP_ADDR", "XQUEUE_SERVICE_HOST",
     "XQUEUE_SERVICE_PORT", "XQUEUE_SERVICE_PORT_HTTP"],
)  # fmt: skip
def test_what_kubernetes_injects_for_a_service_is_ignored(env: dict[str, str], name: str) -> None:
    assert isinstance(load(env | {name: "tcp://10.0.0.1:8040"}), Settings)


@pytest.mark.parametrize("name", ["XQUEUE_PORTS", "XQUEUE_SERVICE", "XQUEUE_SERVICES"])
def test_what_only_looks_like_it_is_refused(env: dict[str, str], name: str) -> None:
    assert name in refused(env | {name: "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XQUEUE_SECRET_KEY", "hunter2"),
        ("XQUEUE_DATABASE_URL", "hunter2"),
        ("XQUEUE_DATABASE_URL", "mysql://u:hunter2@h/x"),
        ("XQUEUE_DATABASE_URL", "sqlite://"),
        ("XQUEUE_REDIS_URL", "hunter2"),
        ("XQUEUE_REDIS_URL", "http://:hunter2@h/0"),
        ("XQUEUE_REDIS_URL", "redis://:hunter2@h:port/0"),
    ],
)
def test_a_wrong_value_is_refused_and_not_repeated_where_it_may_be_a_secret(
    env: dict[str, str], name: str, value: str
) -> None:
    message = refused(env | {name: value})
    assert message.startswith(f"{name} must ")
    assert "hunter2" not in message


def test_certificates_for_a_redis_without_tls_are_a_mistake(env: dict[str, str]) -> None:
    bundle = {"XQUEUE_REDIS_CA_BUNDLE": "/etc/ssl/redis.pem"}
    found = load(env | bundle | {"XQUEUE_REDIS_URL": "rediss://h/0"})
    assert found.redis_ca_bundle == Path("/etc/ssl/redis.pem")
    for url in ("redis://h/0", ""):
        assert "rediss://" in refused(env | bundle | {"XQUEUE_REDIS_URL": url})


# -- secrets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("XQUEUE_SECRET_KEY", KEY, "secret_key"),
        ("XQUEUE_DATABASE_URL", "sqlite:////tmp/x.db", "database_url"),
        ("XQUEUE_REDIS_URL", "redis://:pass@h/0", "redis_url"),
    ],
)
def test_a_secret_may_come_from_a_file_without_its_line_end(
    env: dict[str, str], tmp_path: Path, name: str, value: str, field: str
) -> None:
    path = tmp_path / "mounted"
    path.write_text(f"{value}\n")
    found = getattr(load(env | {f"{name}_FILE": str(path)}), field)
    assert found in (value, value.encode())
    assert "both set" in refused(env | {f"{name}_FILE": str(path), name: value})
    path.write_text(" \n")
    assert refused(env | {f"{name}_FILE": str(path)}) == f"{name}_FILE: {path} is empty"
    path.write_bytes(b"\xff\xfe")
    assert "can not read" in refused(env | {f"{name}_FILE": str(path)})
    path.unlink()
    assert "can not read" in refused(env | {f"{name}_FILE": str(path)})


def test_an_empty_name_counts_as_not_set(env: dict[str, str]) -> None:
    everything = {name: "" for name in SETTINGS if name != "XQUEUE_DATA_DIR"}
    assert load(env | everything) == load(env)


def test_with_postgresql_the_secret_key_must_be_given(env: dict[str, str]) -> None:
    said = refused(env | {"XQUEUE_DATABASE_URL": POSTGRES})
    assert "XQUEUE_SECRET_KEY" in said
    assert "hunter2" not in said
    assert not (Path(env["XQUEUE_DATA_DIR"]) / "secret_key").exists()
    assert load(env | {"XQUEUE_DATABASE_URL": POSTGRES, "XQUEUE_SECRET_KEY": KEY})


def test_the_secret_key_of_an_sqlite_server_is_made_once_for_its_owner_alone(
    env: dict[str, str],
) -> None:
    first = load(env).secret_key
    path = Path(env["XQUEUE_DATA_DIR"]) / "secret_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first) == 64
    assert load(env).secret_key == first
    assert [p.name for p in path.parent.iterdir()] == ["secret_key"], "no drafts are left"


def test_a_data_directory_that_we_make_is_closed_to_others(env: dict[str, str]) -> None:
    load(env)
    mode = stat.S_IMODE(Path(env["XQUEUE_DATA_DIR"]).stat().st_mode)
    assert mode & 0o077 == 0, "it holds learners' code and password hashes"


def test_processes_that_start_together_agree_on_the_key(env: dict[str, str]) -> None:
    code = "from xqueue_server.settings import load; print(load().secret_key.decode())"
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())} | env
    starting = [
        subprocess.Popen([sys.executable, "-c", code], env=given, stdout=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    keys = {process.communicate(timeout=60)[0] for process in starting}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64


@pytest.mark.parametrize("content", ["", "short", "\n" * 100])
def test_a_file_that_holds_no_key_is_not_taken_for_one(env: dict[str, str], content: str) -> None:
    directory = Path(env["XQUEUE_DATA_DIR"])
    directory.mkdir()
    (directory / "secret_key").write_text(content)
    assert "does not hold a secret key" in refused(env)


def test_a_data_directory_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refused({"XQUEUE_DATA_DIR": str(tmp_path / "file" / "data")})
    assert "XQUEUE_DATA_DIR" in said


def test_a_repr_shows_no_secret(env: dict[str, str]) -> None:
    loaded = load(
        env
        | {
            "XQUEUE_DATABASE_URL": POSTGRES,
            "XQUEUE_SECRET_KEY": KEY,
            "XQUEUE_REDIS_URL": "redis://:swordfish@h/0",
        }
    )
    for secret in ("hunter2", KEY, "swordfish"):
        assert secret not in repr(loaded)
        assert secret not in str(loaded)


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Production", "test", "demo "])
def test_an_unknown_mode_is_refused_with_the_choices(env: dict[str, str], mode: str) -> None:
    assert "must be one of production, demo" in refused(env | {"XQUEUE_MODE": mode})


@pytest.mark.parametrize("seconds", ["61", "2", "10"])
def test_an_interval_at_which_exam_pages_never_ping_is_refused(
    env: dict[str, str], seconds: str
) -> None:
    assert "must be an even number from 12 on" in refused(env | {"XQUEUE_PING_INTERVAL_S": seconds})


def test_a_ping_that_does_not_reach_us_ends_no_exam_by_default(env: dict[str, str]) -> None:
    assert load(env).workers.ping_outage is PingOutage.ECHO


@pytest.mark.parametrize(
    "name",
    ["XQUEUE_MAX_BODY_BYTES", "XQUEUE_MAX_FILE_BYTES", "XQUEUE_MAX_FILES", "XQUEUE_THREADS",
     "XQUEUE_FILE_URL_TTL_S"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "10MB", "1e3", " 1", "٣", "9" * 20, "01"])
def test_a_number_is_whole_positive_and_sensible(
    env: dict[str, str], name: str, value: str
) -> None:
    assert "must be a whole number above 0" in refused(env | {name: value})


@pytest.mark.parametrize(
    "entry",
    ["lms.example.org", "https://", "https://lms.example.org/path", "https://u@lms.example.org",
     "https://*.example.org", "http://*", "*", "ftp://lms.example.org", "https://a b"],
)  # fmt: skip
def test_an_entry_that_is_no_exact_origin_is_refused(env: dict[str, str], entry: str) -> None:
    said = refused(env | {"XQUEUE_LMS_ORIGINS": f"https://good.example,{entry}"})
    assert said.startswith("XQUEUE_LMS_ORIGINS")
    assert entry in said


@pytest.mark.parametrize("url", ["xqueue.example.org", "ftp://x", "/xqueue", "https://"])
def test_a_public_url_that_graders_could_not_use_is_refused(env: dict[str, str], url: str) -> None:
    assert "XQUEUE_PUBLIC_URL" in refused(env | {"XQUEUE_PUBLIC_URL": url})


def test_a_public_url_may_have_a_path_and_loses_its_slash(env: dict[str, str]) -> None:
    loaded = load(env | {"XQUEUE_PUBLIC_URL": "https://host/base/"})
    assert loaded.public_url == "https://host/base"


def test_trusted_proxies_are_networks(env: dict[str, str]) -> None:
    loaded = load(env | {"XQUEUE_TRUSTED_PROXIES": "10.0.0.0/8, ::1 ,192.0.2.7"})
    assert [str(n) for n in loaded.trusted_proxies] == ["10.0.0.0/8", "::1/128", "192.0.2.7/32"]
    for wrong in ("proxy", "10.0.0.1/8", "10.0.0.0/33"):
        assert "XQUEUE_TRUSTED_PROXIES" in refused(env | {"XQUEUE_TRUSTED_PROXIES": wrong})


def test_a_log_level_is_one_of_four(env: dict[str, str]) -> None:
    assert load(env | {"XQUEUE_LOG_LEVEL": "Debug"}).log_level == "DEBUG"
    assert "XQUEUE_LOG_LEVEL" in refused(env | {"XQUEUE_LOG_LEVEL": "verbose"})


def test_every_setting_is_described() -> None:
    assert all(SETTINGS.values())
    assert all(name.startswith("XQUEUE_") for name in SETTINGS)


@pytest.mark.parametrize("service", ["XQUEUE", "XQUEUE_WEB"])
def test_what_kubernetes_injects_for_a_service_is_no_unknown_setting(
    env: dict[str, str], service: str
) -> None:
    injected = {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": "8040",
        f"{service}_SERVICE_PORT_HTTP": "8040",
        f"{service}_PORT": "tcp://10.0.0.1:8040",
        f"{service}_PORT_8040_TCP": "tcp://10.0.0.1:8040",
        f"{service}_PORT_8040_TCP_PROTO": "tcp",
        f"{service}_PORT_8040_TCP_ADDR": "10.0.0.1",
    }
    assert load(env | injected) == load(env)
    assert not any(settings.INJECTED_BY_KUBERNETES.fullmatch(name) for name in SETTINGS)


# -- published graders and notifications ---------------------------------------------------------


def test_ceilings_have_sane_defaults_and_can_be_set(env: dict[str, str]) -> None:
    assert load(env).ceilings == Ceilings(
        wall_s=120, memory_bytes=2**30, cpus=2, pids=256, output_bytes=2**20
    )
    assert load(env | {"XQUEUE_MAX_GRADER_WALL_S": "7"}).ceilings.wall_s == 7
    assert "XQUEUE_MAX_GRADER_PIDS" in refused(env | {"XQUEUE_MAX_GRADER_PIDS": "0"})


@pytest.mark.parametrize(
    ("server", "host", "port"),
    [
        ("mail.example.org", "mail.example.org", 587),
        ("mail:25", "mail", 25),
        ("[::1]:25", "::1", 25),
    ],
)
def test_a_mail_server_is_a_host_and_perhaps_a_port(
    env: dict[str, str], server: str, host: str, port: int
) -> None:
    mail = load(env | {"XQUEUE_SMTP_SERVER": server, "XQUEUE_SMTP_FROM": "x@example.org"}).mail
    assert mail is not None
    assert (mail.host, mail.port, mail.security) == (host, port, "starttls")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("XQUEUE_SMTP_SERVER", {"XQUEUE_SMTP_SERVER": "smtp://mail"}),
        ("XQUEUE_SMTP_SERVER", {"XQUEUE_SMTP_SERVER": "mail:0"}),
        ("XQUEUE_SMTP_FROM", {"XQUEUE_SMTP_FROM": ""}),
        ("XQUEUE_SMTP_FROM", {"XQUEUE_SMTP_FROM": "a@b\nBcc: c@d"}),
        ("XQUEUE_SMTP_SECURITY", {"XQUEUE_SMTP_SECURITY": "ssl"}),
        ("XQUEUE_WEBHOOK_ORIGINS", {"XQUEUE_WEBHOOK_ORIGINS": "https://x/path"}),
    ],
)
def test_a_wrong_notification_setting_is_named(
    env: dict[str, str], name: str, more: dict[str, str]
) -> None:
    mail = {"XQUEUE_SMTP_SERVER": "mail", "XQUEUE_SMTP_FROM": "x@example.org"}
    assert name in refused(env | mail | more)


def test_without_a_mail_server_there_is_no_mail_and_a_password_is_not_shown(
    env: dict[str, str],
) -> None:
    assert load(env).mail is None
    mail = {
        "XQUEUE_SMTP_SERVER": "mail",
        "XQUEUE_SMTP_FROM": "x@example.org",
        "XQUEUE_SMTP_PASSWORD": "hunter2",
    }
    assert "hunter2" not in repr(load(env | mail))
