"""One transport of many: each kind of message goes its own way."""

from __future__ import annotations

from collections.abc import Mapping

from xqueue_server.models.callback import CallbackKind, DueCallback
from xqueue_server.transport import Outcome, Transport


class TransportByKind:
    def __init__(self, by_kind: Mapping[CallbackKind, Transport]) -> None:
        """A transport for every kind."""
        assert set(by_kind) == set(CallbackKind), "there is a way for each kind"
        self._by_kind = dict(by_kind)

    def send(self, due: DueCallback) -> Outcome:
        return self._by_kind[due.kind].send(due)

    def close(self) -> None:
        for transport in {id(each): each for each in self._by_kind.values()}.values():
            transport.close()
