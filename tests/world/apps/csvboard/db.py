"""The database: one SQLite file, and a schema that only ever grows.

A migration is a file of SQL under `migrations/`, named by its number. Each is applied once, whole or not at all, in
order; versions of the application older than the schema keep working, because migrations only add.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from flask import current_app, g

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 10


def connect(path: str) -> sqlite3.Connection:
    """Opens the database; transactions are begun by hand, so that schema changes are part of them too."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    # With WAL, readers such as a backup do not stop the writer: https://www.sqlite.org/wal.html
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction that takes the write lock at its start, so that it cannot fail half-way for want of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def database() -> sqlite3.Connection:
    """The connection of this request."""
    if "database" not in g:
        g.database = connect(current_app.config["DATABASE_PATH"])
    return g.database


def close(_error: BaseException | None = None) -> None:
    """Ends the request's connection."""
    connection = g.pop("database", None)
    if connection is not None:
        connection.close()


def migrate(path: str, migrations: Path = MIGRATIONS) -> list[int]:
    """Applies what has not been applied yet, and returns the numbers of what it applied."""
    with closing(connect(path)) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_version ("
            "number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
        )
        return [number for number, file in _files(migrations) if _apply(connection, number, file)]


def _files(migrations: Path) -> list[tuple[int, Path]]:
    return sorted((int(file.name.split("_")[0]), file) for file in migrations.glob("[0-9]*_*.sql"))


def _apply(connection: sqlite3.Connection, number: int, file: Path) -> bool:
    """Applies one migration, unless that was done: by an earlier run, or by another process just now."""
    with transaction(connection):
        if connection.execute("SELECT 1 FROM schema_version WHERE number = ?", (number,)).fetchone():
            return False
        for statement in statements(file.read_text(encoding="utf-8")):
            connection.execute(statement)
        connection.execute("INSERT INTO schema_version (number, name) VALUES (?, ?)", (number, file.stem))
    return True


def statements(sql: str) -> list[str]:
    """Splits SQL into its statements; `executescript` would commit before it begins."""
    found, open_lines = [], ""
    for line in sql.splitlines(keepends=True):
        open_lines += line
        if sqlite3.complete_statement(open_lines):
            found.append(open_lines.strip())
            open_lines = ""
    if any(line.strip() and not line.strip().startswith("--") for line in open_lines.splitlines()):
        raise ValueError(f"a statement has no end: {open_lines.strip()[:60]}")
    return found


def schema_version(connection: sqlite3.Connection) -> int:
    """The number of the newest migration applied; 0 before any table exists."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone()
    if not known:
        return 0
    return connection.execute("SELECT coalesce(max(number), 0) FROM schema_version").fetchone()[0]
