"""Proctoring's protocols, implemented over this database (see `proctoring_hooks.store`)."""

from xqueue_server.storage.proctoring.session import ProctoringStore

__all__ = ["ProctoringStore"]
