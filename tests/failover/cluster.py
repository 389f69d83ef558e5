"""A PostgreSQL primary with a synchronous standby, both of this test alone, on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.demo.processes import free_port
from tests.support.services import missing_service

PATIENCE_S = 60.0
STANDBY = "second"


class Node:
    """One server; its files belong to the user `postgres`, as it refuses to be root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    def start(self, *settings: str) -> None:
        options = " ".join(
            f"-c {setting}"
            for setting in (
                f"port={self.port}",
                "listen_addresses=127.0.0.1",
                f"unix_socket_directories={self.folder.parent}",
                "wal_level=replica",
                "hot_standby=on",
                *settings,
            )
        )
        log = self.folder.parent / f"{self.folder.name}.log"
        as_postgres(
            *("pg_ctl", "--pgdata", self.folder, "--log", log, "--wait", "--timeout", "60"),
            *("--options", options, "start"),
        )

    def kill(self) -> None:
        """All of it at once: nothing is written any more, nobody is told."""
        os.kill(int((self.folder / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def stop(self) -> None:
        as_postgres(
            *("pg_ctl", "--pgdata", self.folder, "--mode", "immediate", "stop"), may_fail=True
        )

    def promote(self) -> None:
        as_postgres("pg_ctl", "--pgdata", self.folder, "--wait", "promote")

    def ask(self, sql: str) -> str:
        return as_postgres(
            *("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--host", "127.0.0.1"),
            *("--port", str(self.port), "--username", "postgres", "--command", sql, "postgres"),
        ).strip()


class Cluster:
    """`first` writes; `second` has confirmed whatever `first` has acknowledged."""

    def __init__(self) -> None:
        if os.geteuid() != 0 or not binaries():
            missing_service("PostgreSQL, and root to start it as its user")
        self._folder = Path(tempfile.mkdtemp(prefix="xq-cluster-"))
        self.first = Node(self._folder / "first")
        self.second = Node(self._folder / STANDBY)
        self._password = secrets.token_hex(8)

    def __enter__(self) -> Self:
        shutil.chown(self._folder, "postgres")
        password = self._folder / "password"
        password.write_text(self._password)
        shutil.chown(password, "postgres")
        as_postgres(
            *("initdb", "--pgdata", self.first.folder, "--username", "postgres", "--no-sync"),
            *("--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8"),
        )
        self.first.start()
        self.first.ask("CREATE DATABASE xqueue")
        as_postgres(
            *("pg_basebackup", "--pgdata", self.second.folder, "--write-recovery-conf"),
            *("--checkpoint", "fast", "--no-sync"),
            "--dbname",
            f"host=127.0.0.1 port={self.first.port} user=postgres application_name={STANDBY}",
        )
        self.second.start()
        self.first.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
        self.first.ask("SELECT pg_reload_conf()")
        self._until_synchronous()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for node in (self.first, self.second):
            node.stop()
        shutil.rmtree(self._folder)

    @property
    def url(self) -> str:
        """Whichever of the two may be written to."""
        hosts = f"host=127.0.0.1:{self.first.port}&host=127.0.0.1:{self.second.port}"
        return f"postgresql://postgres@/xqueue?{hosts}&target_session_attrs=read-write"

    def fail_over(self) -> None:
        self.first.kill()
        self.second.promote()

    def _until_synchronous(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while self.first.ask("SELECT sync_state FROM pg_stat_replication") != "sync":
            assert time.monotonic() < end, "the standby does not follow"
            time.sleep(0.05)


def binaries() -> Path | None:
    """The newest that the distribution has installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return found[-1] if found else None


def as_postgres(program: str, *arguments: object, may_fail: bool = False) -> str:
    folder = binaries()
    assert folder is not None
    done = subprocess.run(
        [folder / program, *map(str, arguments)],
        user="postgres",
        group="postgres",
        extra_groups=[],
        cwd="/",
        # Not a pipe for the server that pg_ctl leaves behind: it would keep it open.
        stdout=subprocess.PIPE if program == "psql" else subprocess.DEVNULL,
        stderr=subprocess.STDOUT if program == "psql" else subprocess.DEVNULL,
        text=True,
        check=False,
    )
    assert may_fail or done.returncode == 0, f"{program}: {done.stdout}"
    return done.stdout or ""
