"""The file itself: opening it, what is in it, and bringing an older one up to date.

`documents` holds the documents. Triggers, not code, note every change in `changes`, so that each
process sees what any other did, whatever its version. Steps only ever add: a server that has the
file open goes on working while a newer one opens it.
"""

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from storage.sqlite.errors import primary_code, refusal

KEPT_CHANGES = 10_000
APPLICATION_ID = 0x6B696470  # "kidp", shown by file(1)

STEPS: tuple[Sequence[str], ...] = (
    (
        """
        CREATE TABLE documents (
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            version TEXT NOT NULL,
            columns TEXT NOT NULL,
            expires TEXT NOT NULL,
            sealed TEXT NOT NULL,
            PRIMARY KEY (kind, name)
        )
        """,
        "CREATE INDEX documents_expire ON documents (kind, expires) WHERE expires <> ''",
        # Numbers have no gaps: a row's is one more than the highest, and only the oldest go.
        """
        CREATE TABLE changes (
            number INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            columns TEXT NOT NULL,
            gone INTEGER NOT NULL
        )
        """,
        """
        CREATE TRIGGER document_created AFTER INSERT ON documents BEGIN
            INSERT INTO changes (kind, name, columns, gone)
            VALUES (new.kind, new.name, new.columns, 0);
        END
        """,
        """
        CREATE TRIGGER document_replaced AFTER UPDATE ON documents BEGIN
            INSERT INTO changes (kind, name, columns, gone)
            VALUES (new.kind, new.name, new.columns, 0);
        END
        """,
        """
        CREATE TRIGGER document_removed AFTER DELETE ON documents BEGIN
            INSERT INTO changes (kind, name, columns, gone)
            VALUES (old.kind, old.name, old.columns, 1);
        END
        """,
        f"""
        CREATE TRIGGER changes_pruned AFTER INSERT ON changes WHEN new.number % 512 = 0 BEGIN
            DELETE FROM changes WHERE number <= new.number - {KEPT_CHANGES};
        END
        """,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFile:
    """Where the database is, and how it is opened.

    `steps` bring the schema from version 0 upwards, one version each.
    """

    path: Path
    steps: Sequence[Sequence[str]] = STEPS

    def open(self, patience: float) -> sqlite3.Connection:
        """Return a connection to an up-to-date database, created with mode 0600 if need be.

        Waits at most `patience` seconds for others. Raises StorageUnavailable for a file that is
        not ours to use, sqlite3.Error and OSError for one that cannot be used just now.
        """
        self._check_place()
        self._create_private()
        connection = sqlite3.connect(self.path, timeout=patience, isolation_level=None)
        try:
            # Bytes that are no UTF-8 were put in by hand; then the seal does not open.
            connection.text_factory = lambda raw: str(raw, "utf-8", "replace")
            connection.execute("BEGIN")  # one look at all of it, while others may create it
            self._check_ours(connection)
            connection.execute("COMMIT")
            self._turn_on_wal(connection, time.monotonic() + patience)
            connection.execute("PRAGMA synchronous = FULL")
            # 16 MB: a page that changes often is copied back once and not each 4 MB.
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            connection.execute("PRAGMA trusted_schema = OFF")
            self._bring_up_to_date(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def identity(self) -> tuple[int, int] | None:
        """Return what tells this file from another of the same path; None when there is none."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _check_place(self) -> None:
        if self.path.name == ":memory:":
            raise refusal(self.path, "for a store in memory set storage.type to memory")
        if self.path.is_dir():
            raise refusal(self.path, "this is a directory: name a file in it")
        parent = self.path.parent
        if not parent.is_dir():
            raise refusal(self.path, f"there is no directory {parent}: create it, or name another")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise refusal(
                self.path,
                f"the directory {parent} cannot be written (SQLite keeps files beside the"
                f" database): make it writable for user id {os.geteuid()}",
            )

    def _create_private(self) -> None:
        # Only ever a new file: closing an open one would drop the locks that this process holds.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode=0o600))

    def _check_ours(self, connection: sqlite3.Connection) -> None:
        """Refuse a newer schema and another program's database before changing anything."""
        version = _number(connection, "PRAGMA user_version")
        owner = _number(connection, "PRAGMA application_id")
        tables = _number(connection, "SELECT count(*) FROM sqlite_master")
        if owner != APPLICATION_ID and (owner or version or tables):
            raise refusal(
                self.path,
                "this database belongs to another program (Dex's files cannot be taken over):"
                " name a new file",
            )
        if version > len(self.steps):
            raise refusal(
                self.path,
                f"its schema is version {version}, this server knows up to {len(self.steps)}:"
                " run the newer server, or restore the backup taken before it",
            )

    def _turn_on_wal(self, connection: sqlite3.Connection, give_up_at: float) -> None:
        """Switch to the write-ahead log; SQLite itself does not wait for others here."""
        while True:
            try:
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as error:
                if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up_at:
                    raise
                time.sleep(0.02)
                continue
            if mode != "wal":
                raise refusal(
                    self.path,
                    f"this file system cannot hold a write-ahead log (mode {mode}): use a local"
                    " disk",
                )
            return

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        if _number(connection, "PRAGMA user_version") == len(self.steps):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Again, now that nobody else can write: another process may have been quicker.
            self._check_ours(connection)
            for step in self.steps[_number(connection, "PRAGMA user_version") :]:
                for statement in step:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(self.steps)}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _number(connection: sqlite3.Connection, query: str) -> int:
    with closing(connection.execute(query)) as cursor:
        return int(cursor.fetchone()[0])
