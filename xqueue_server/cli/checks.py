"""What `doctor` looks at. Each check yields what it found and, unless all is well, what to do."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from xqueue_server.cli.checks_running import check_running
from xqueue_server.cli.environment import database
from xqueue_server.cli.finding import Finding, fail, ok, warn
from xqueue_server.cli.output import size
from xqueue_server.errors import FilesUnavailable, SettingsError, XQueueError
from xqueue_server.settings import MB, Mode, Settings
from xqueue_server.storage import Storage, accounts, queues
from xqueue_server.storage.engine import parse_url

if TYPE_CHECKING:
    from redis import Redis

LOW_SPACE_BYTES = 1024 * MB
NO_SPACE_BYTES = 100 * MB


Check = Callable[[Settings], Iterator[Finding]]


def check_data_directory(settings: Settings) -> Iterator[Finding]:
    what, path = "data directory", settings.data_dir
    try:
        with tempfile.TemporaryFile(dir=path):
            free = shutil.disk_usage(path).free
    except OSError as error:
        yield fail(
            what,
            f"can not write to {path}: {error.strerror}",
            "create it, owned by the server's user, or set XQUEUE_DATA_DIR",
        )
        return
    found = f"{path} is writable, {size(free)} free"
    if free >= LOW_SPACE_BYTES:
        yield ok(what, found)
    else:
        judged = fail if free < NO_SPACE_BYTES else warn
        yield judged(what, found, "make room: uploads, and SQLite, need it")


def check_uploads(settings: Settings) -> Iterator[Finding]:
    if settings.s3 is None:
        return
    what, where = "uploads", f"the bucket {settings.s3.bucket}"
    try:
        from xqueue_server.files.s3 import S3Files
    except ImportError:
        yield fail(what, "boto3 is not installed", "pip install 'xqueue-grader[server,s3]'")
        return
    try:
        S3Files(settings.s3, ttl_s=settings.file_url_ttl_s).require_usable()
    except FilesUnavailable as error:
        to_do = "mend XQUEUE_S3_*, or the bucket's policy: it must allow put, get, list, delete"
        yield fail(what, str(error), to_do)
    else:
        yield _leftover_uploads(settings) or ok(
            what, f"can be written to, read, listed in and removed from {where}"
        )


def _leftover_uploads(settings: Settings) -> Finding | None:
    """Of the time before the bucket: their submissions' graders do not get them."""
    from xqueue_server.files.local import LocalFiles

    directory = settings.data_dir / "files"
    if next(LocalFiles(directory).older_than(0), None) is None:
        return None
    assert settings.s3 is not None
    return warn(
        "uploads",
        f"go to the bucket {settings.s3.bucket}, and earlier ones lie in {directory}",
        f"copy what lies there to the bucket, under {settings.s3.prefix or 'its top'}; then "
        "remove it",
    )


def check_secret_key(settings: Settings) -> Iterator[Finding]:
    """Only the file that the server made itself; a mounted secret's mode is the platform's."""
    path = settings.data_dir / "secret_key"
    if not path.exists():
        yield ok("secret key", "comes from the environment")
    elif stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield warn("secret key", f"{path} is open to other users", f"chmod 600 {path}")
    else:
        yield ok("secret key", f"{path} is private")


def check_origins(settings: Settings) -> Iterator[Finding]:
    what = "LMS origins"
    if settings.lms_origins:
        yield ok(what, ", ".join(settings.lms_origins))
    elif settings.mode is Mode.DEMO:
        yield ok(what, "demo mode: an LMS on this machine")
    else:
        yield fail(
            what,
            "none: no LMS may be called back",
            "set XQUEUE_LMS_ORIGINS, e.g. to https://lms.example.org",
        )


def check_lms_access(settings: Settings) -> Iterator[Finding]:
    if settings.lms_access_file is None:
        return
    from xqueue_server.transport.access import read_access

    what = "LMS access file"
    try:
        entries = read_access(settings.lms_access_file, allows_origin=settings.allows_origin)
    except SettingsError as error:
        yield fail(what, str(error), "mend the file, or unset XQUEUE_LMS_ACCESS_FILE")
    else:
        yield ok(what, f"{settings.lms_access_file}: {', '.join(entries) or 'no entries'}")


def check_public_url(settings: Settings) -> Iterator[Finding]:
    what, url = "public URL", settings.public_url
    if settings.mode is Mode.PRODUCTION and _is_loopback(urlsplit(url).hostname or ""):
        yield warn(
            what,
            f"{url}: graders on other hosts can not download files from it",
            "set XQUEUE_PUBLIC_URL to where graders reach this server",
        )
    else:
        yield ok(what, url)


def check_redis(settings: Settings) -> Iterator[Finding]:
    if not settings.redis_url:
        yield ok("Redis", "not configured: workers poll")
        return
    from redis.exceptions import RedisError

    from xqueue_server.dispatch.rq import connect

    client = connect(settings.redis_url, settings.redis_ca_bundle)
    try:
        client.ping()
        yield _redis_policy(client)
    except RedisError as error:
        yield warn(
            "Redis",
            f"does not answer ({type(error).__name__}): RQ workers are not told of new work",
            "start it or mend XQUEUE_REDIS_URL; submissions are safe, and polling graders go on",
        )
    finally:
        client.close()


def _redis_policy(client: Redis) -> Finding:
    """A Redis that throws away keys when it is full may throw away RQ's lists."""
    from redis.exceptions import ResponseError

    try:
        known = client.config_get("maxmemory-policy")
    except ResponseError:  # a hosted Redis does not tell
        return ok("Redis", "answers; its maxmemory-policy, which it hides, should be noeviction")
    policy = known.get("maxmemory-policy", "noeviction") if isinstance(known, dict) else ""
    if policy == "noeviction":
        return ok("Redis", "answers, maxmemory-policy noeviction")
    return warn(
        "Redis",
        f"answers, but its maxmemory-policy is {policy}: when it is full, nudges may get lost",
        "set maxmemory-policy noeviction; submissions are safe, and polling graders go on",
    )


def check_database(settings: Settings) -> Iterator[Finding]:
    try:
        where = parse_url(settings.database_url)
        if settings.is_sqlite and not Path(where.database or "").exists():
            # Opening would create it, perhaps as the wrong user.
            found = f"{where.database} does not exist"
            yield fail("database", found, "run: xqueue-server db upgrade")
            return
        with database(settings) as storage:
            yield from _check_contents(storage, _place(settings))
    except XQueueError as error:
        yield fail("database", " ".join(str(error).split()), "start it or mend XQUEUE_DATABASE_URL")


def _place(settings: Settings) -> str:
    url = parse_url(settings.database_url)
    return str(url.database) if settings.is_sqlite else f"{url.database} at {url.host or 'socket'}"


def _check_contents(storage: Storage, place: str) -> Iterator[Finding]:
    from xqueue_server.storage import migration

    if problem := migration.problem(storage):
        what, _, to_do = problem.partition("; ")
        yield fail("database", f"{place}: {what}", to_do)
        return
    with storage.write():  # SQLite takes the write lock: a file that is read-only shows here
        yield ok("database", f"{place} is reachable and up to date")
    with storage.read() as tx:
        queue_count, account_count = len(queues.all_queues(tx)), len(accounts.all_accounts(tx))
    yield _check_count("queues", queue_count, "xqueue-server queue add NAME")
    yield _check_count("accounts", account_count, "xqueue-server account add NAME")
    yield from check_running(storage)


def _check_count(what: str, count: int, command: str) -> Finding:
    return ok(what, str(count)) if count else warn(what, "none yet", f"run: {command} (see --help)")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


CHECKS: tuple[Check, ...] = (
    check_data_directory,
    check_uploads,
    check_secret_key,
    check_database,
    check_redis,
    check_origins,
    check_lms_access,
    check_public_url,
)
