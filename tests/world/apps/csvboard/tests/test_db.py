"""The schema, and the mails that are due."""

import sqlite3
from contextlib import closing

import pytest

import db
from scripts import send_reminders
from tests.visitor import Visitor


def dump(path):
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_bringing_the_schema_up_to_date_twice_is_bringing_it_once(environ):
    path = environ["DATABASE_PATH"]
    assert db.migrate(path)[:3] == [1, 2, 3]
    before = dump(path)
    assert db.migrate(path) == [] and dump(path) == before


def test_a_migration_that_fails_leaves_nothing_behind(path, tmp_path):
    (tmp_path / "9001_bad.sql").write_text("CREATE TABLE half (x);\nINSERT INTO absent VALUES (1);\n")
    before = dump(path)
    with pytest.raises(sqlite3.OperationalError, match="absent"):
        db.migrate(path, tmp_path)
    assert dump(path) == before


def test_a_row_survives_a_later_migration(visitor, tmp_path):
    visitor.settled()
    (tmp_path / "9001_more.sql").write_text("ALTER TABLE accounts ADD COLUMN note TEXT;\n")
    assert db.migrate(visitor.path, tmp_path) == [9001]
    assert visitor.get("/dashboard").status_code == 200
    assert visitor.rows("SELECT email, note FROM accounts") == [(visitor.email, None)]


def test_statements_end_where_sqlite_says():
    assert db.statements("-- why; not\nSELECT ';';\nSELECT 2;\n-- end\n") == ["-- why; not\nSELECT ';';", "SELECT 2;"]
    with pytest.raises(ValueError, match="SELECT 3"):
        db.statements("SELECT 3")


def test_reminders_go_once_a_day_and_then_end(visitor):
    visitor.settled()
    Visitor(visitor.app, visitor.path, "eve@example.com").register()
    with closing(db.connect(visitor.path)) as connection:
        connection.execute("UPDATE accounts SET created_at = '2026-01-01', verified_at = '2026-01-01' WHERE verified_at NOT NULL")
        connection.execute("UPDATE accounts SET created_at = '2026-01-01' WHERE verified_at IS NULL")
        days = ["2026-02-01", "2026-02-01", "2026-02-02", "2026-02-03", "2026-02-04"]
        assert [send_reminders.send(connection, day, "https://app.example.com") for day in days] == [2, 0, 2, 2, 0]
    mails = visitor.rows("SELECT DISTINCT kind, recipient FROM outbox WHERE kind IN ('confirm', 'first-upload') ORDER BY 1")
    assert mails == [("confirm", "eve@example.com"), ("first-upload", visitor.email)]


def test_who_uploaded_a_file_is_not_asked_to(visitor):
    visitor.settled().upload(b"a\n1\n")
    with closing(db.connect(visitor.path)) as connection:
        connection.execute("UPDATE accounts SET verified_at = '2026-01-01'")
        assert send_reminders.send(connection, "2026-02-01", "") == 0
