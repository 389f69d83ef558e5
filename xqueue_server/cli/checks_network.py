"""`doctor --network`: whether each LMS can be connected to from here, as `deliver` would."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from xqueue_server.cli.finding import Finding, ok, warn
from xqueue_server.errors import SettingsError
from xqueue_server.settings import ANY_HTTPS, Settings
from xqueue_server.transport.access import Access, read_access

CONNECT_S = 5.0


def check_network(settings: Settings) -> Iterator[Finding]:
    """Nothing is sent: a connection and, for https, a verified handshake."""
    try:
        access = read_access(settings.lms_access_file, allows_origin=settings.allows_origin)
    except SettingsError:  # another check says so
        access = {}
    for origin in settings.lms_origins:
        if origin != ANY_HTTPS:
            yield reach(origin, access)


def reach(origin: str, access: Mapping[str, Access]) -> Finding:
    parts = urlsplit(origin)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S) as connection:
            if parts.scheme == "https":
                given = access.get(origin)
                tls = (given and given.tls) or ssl.create_default_context()
                with tls.wrap_socket(connection, server_hostname=host):
                    pass
    except ssl.SSLError as error:
        return warn(
            origin,
            f"TLS: {error.reason or error}",
            "mend its certificate, or name its authority in XQUEUE_LMS_ACCESS_FILE",
        )
    except OSError as error:
        return warn(
            origin,
            f"can not be reached from here: {error.strerror or error}",
            "check its name, port and the firewalls between; callbacks wait meanwhile",
        )
    return ok(origin, "can be reached from here")
