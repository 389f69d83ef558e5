"""A desk and a server without sockets, as the server's own tests have them."""

from __future__ import annotations

from tests.server.conftest import desk, environment, server, server_settings

__all__ = ["desk", "environment", "server", "server_settings"]
