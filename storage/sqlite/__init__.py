"""A store in one SQLite file, shared by several processes of one machine.

Owns the file, its schema and the one thread that touches it. It knows documents, not records.
"""

from storage.sqlite.backend import SqliteBackend

__all__ = ["SqliteBackend"]
