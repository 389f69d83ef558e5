"""The database of record behind one seam: queue operations in short transactions.

Callers open `Storage.read()` or `Storage.write()` and pass the transaction to the functions of
the modules beside this one (`submissions`, `leases`, `results`, `callbacks`, `accounts`,
`queues`, `events`). The same SQL serves SQLite and PostgreSQL; `leases.claim` alone has two forms.
"""

from xqueue_server.storage.engine import Storage, Transaction, open_storage

__all__ = ["Storage", "Transaction", "open_storage"]
