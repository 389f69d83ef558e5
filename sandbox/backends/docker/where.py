"""Finds the Docker Engine: a unix socket, or TCP with or without TLS.

Follows the variables that every Docker client knows: DOCKER_HOST, DOCKER_TLS_VERIFY and
DOCKER_CERT_PATH (https://docs.docker.com/reference/cli/docker/#environment-variables).
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxUnavailable

DEFAULT_SOCKET = "/var/run/docker.sock"
PEER = struct.Struct("3i")
"""Process, user and group; the process is 0 where it is in another process namespace."""
PLAIN_PORT = 2375
TLS_PORT = 2376


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """Either `socket_path`, or `host` and `port`; `cert_path` only with the latter."""

    socket_path: str | None = None
    host: str = "docker"
    port: int = 0
    cert_path: Path | None = None

    def connect(self, timeout_s: float) -> socket.socket:
        """A connection whose every operation has that timeout. Raises OSError."""
        if self.socket_path is None:
            return self._connect_over_tcp(timeout_s)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout_s)
            connection.connect(self.socket_path)
        except BaseException:
            connection.close()
            raise
        return connection

    def is_beside_us(self, timeout_s: float) -> bool:
        """Whether the engine's process is one that this process can see, and not in a host around
        this container or elsewhere: by what the kernel says of the other end. Raises OSError."""
        if self.socket_path is None:
            return False
        with self.connect(timeout_s) as connection:
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
        process_id, _, _ = PEER.unpack(peer)
        return bool(process_id)

    def _connect_over_tcp(self, timeout_s: float) -> socket.socket:
        connection = socket.create_connection((self.host, self.port), timeout_s)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.cert_path is None:
                return connection
            context = ssl.create_default_context(cafile=str(self.cert_path / "ca.pem"))
            context.load_cert_chain(self.cert_path / "cert.pem", self.cert_path / "key.pem")
            return context.wrap_socket(connection, server_hostname=self.host)
        except BaseException:
            connection.close()
            raise


def find_engine(
    docker_host: str | None = None, environ: Mapping[str, str] = os.environ
) -> EngineAddress:
    """`docker_host`, else what the environment says, else the usual socket.

    Raises SandboxUnavailable for an address of a kind that is not supported.
    """
    address = docker_host or environ.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}"
    kind, _, rest = address.partition("://")
    if kind == "unix":
        return EngineAddress(socket_path=rest)
    if kind != "tcp":
        raise SandboxUnavailable(f"{address} is neither unix://… nor tcp://…")
    host, _, port = rest.rstrip("/").rpartition(":")
    certs = _cert_path(environ) if environ.get("DOCKER_TLS_VERIFY") else None
    if not host:
        host, port = port, str(TLS_PORT if certs else PLAIN_PORT)
    return EngineAddress(host=host.strip("[]"), port=int(port), cert_path=certs)


def _cert_path(environ: Mapping[str, str]) -> Path:
    given = environ.get("DOCKER_CERT_PATH")
    return Path(given) if given else Path.home() / ".docker"
