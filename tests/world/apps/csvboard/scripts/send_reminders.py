"""Puts the day's lifecycle mails into the outbox; run it as often as you like.

    python scripts/send_reminders.py
"""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import db  # noqa: E402 - the path above is what finds it

# Who gets a mail of a kind: accounts that waited this long, and those whose payment failed.
DUE = {
    "confirm": ("Please confirm your address", "verified_at IS NULL AND created_at < datetime('now', '-1 day')"),
    "first-upload": (
        "Upload your first file",
        "verified_at IS NOT NULL AND verified_at < datetime('now', '-3 days')"
        " AND NOT EXISTS (SELECT 1 FROM uploads WHERE account_id = accounts.id)",
    ),
    "payment": ("Your payment failed", "payment_failed_at IS NOT NULL"),
}
# The unwanted end: after this many mails of a kind, silence.
MOST = 3


def send(connection: sqlite3.Connection, day: str, public_url: str) -> int:
    """Puts what is due on a day into the outbox and tells how many mails that were."""
    with db.transaction(connection):
        return sum(_send(connection, kind, day, public_url) for kind in DUE)


def _send(connection: sqlite3.Connection, kind: str, day: str, public_url: str) -> int:
    subject, condition = DUE[kind]
    due = connection.execute(
        f"INSERT INTO reminders (account_id, kind, day) SELECT id, ?, ? FROM accounts WHERE {condition}"
        " AND (SELECT count(*) FROM reminders WHERE account_id = accounts.id AND kind = ?) < ?"
        " ON CONFLICT DO NOTHING RETURNING account_id",
        (kind, day, kind, MOST),
    ).fetchall()
    connection.executemany(
        "INSERT INTO outbox (account_id, kind, recipient, subject, link) SELECT id, ?, email, ?, ? FROM accounts WHERE id = ?",
        [(kind, subject, f"{public_url}/dashboard", row["account_id"]) for row in due],
    )
    return len(due)


def main() -> None:
    """Sends what is due today."""
    public_url = os.environ.get("PUBLIC_URL", "").rstrip("/")
    with closing(db.connect(os.environ["DATABASE_PATH"])) as connection:
        count = send(connection, datetime.now(UTC).date().isoformat(), public_url)
    print(f"reminders: {count} sent")


if __name__ == "__main__":
    main()
