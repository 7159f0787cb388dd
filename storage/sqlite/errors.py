"""What SQLite says, in our words: which file, what is wrong with it and how to mend it."""

import sqlite3
from pathlib import Path

from storage.base import StorageUnavailable

_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another process holds its lock: end that process, or try again",
    sqlite3.SQLITE_LOCKED: "another process holds its lock: end that process, or try again",
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_READONLY: "it cannot be written: make file and directory writable for this user",
    sqlite3.SQLITE_PERM: "it cannot be written: make file and directory writable for this user",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: make file and directory writable for this user",
    sqlite3.SQLITE_AUTH: "it cannot be opened: make file and directory writable for this user",
    sqlite3.SQLITE_CORRUPT: "it is damaged: stop all servers and restore it from a backup",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database: name another file, or remove this one",
    sqlite3.SQLITE_FORMAT: "it is no SQLite database: name another file, or remove this one",
    sqlite3.SQLITE_IOERR: "the disk failed: check the disk; a network file system will not do",
    sqlite3.SQLITE_PROTOCOL: "its locks do not work: a network file system will not do",
    sqlite3.SQLITE_NOMEM: "there is not enough memory: give the server more",
    sqlite3.SQLITE_SCHEMA: "its schema changed: restart the server",
}

HARMLESS = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
"""After these the connection is as good as before; after all others a new one is needed."""


def primary_code(error: Exception) -> int:
    """Return SQLite's result code without its extension; -1 when the error has none."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code if code < 0 else code & 0xFF


def refusal(path: Path, problem: str) -> StorageUnavailable:
    """Return the error for a file that cannot be used, named as in the configuration."""
    return StorageUnavailable(f"storage.config.file: {path}: {problem}")


def translated(path: Path, error: Exception) -> StorageUnavailable:
    """Return our error for one of sqlite3's or of the operating system's."""
    remedy = _REMEDIES.get(primary_code(error), "SQLite refused; see the error in brackets")
    said = error.strerror if isinstance(error, OSError) else str(error)
    if isinstance(error, OSError):
        remedy = "it cannot be opened: make file and directory writable for this user"
    return refusal(path, f"{remedy} ({said})")
