"""Mails and the links in them. A mail is a row of the outbox; whoever delivers mails reads it from there."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3

from flask import current_app, request

HOURS = {"verify": 48, "reset": 1}


def outbox(connection: sqlite3.Connection, account: sqlite3.Row, kind: str, text: tuple[str, str]) -> None:
    """Puts a mail into the outbox; `text` is its subject and its link."""
    connection.execute(
        "INSERT INTO outbox (account_id, kind, recipient, subject, link) VALUES (?, ?, ?, ?, ?)",
        (account["id"], kind, account["email"], *text),
    )


def link(path: str) -> str:
    """An address for a mail. Set PUBLIC_URL where the proxy in front lets any Host header through."""
    base = current_app.config["PUBLIC_URL"] or request.host_url.rstrip("/")
    return f"{base}{path}"


def new_token(connection: sqlite3.Connection, account: sqlite3.Row, purpose: str) -> str:
    """Makes a token that can be used once, in place of earlier ones for the same purpose."""
    token = secrets.token_urlsafe(32)
    connection.execute("DELETE FROM tokens WHERE account_id = ? AND purpose = ?", (account["id"], purpose))
    connection.execute(
        "INSERT INTO tokens (digest, account_id, purpose, expires_at) VALUES (?, ?, ?, datetime('now', ?))",
        (_digest(token), account["id"], purpose, f"+{HOURS[purpose]} hours"),
    )
    return token


def redeem(connection: sqlite3.Connection, token: str, purpose: str) -> int | None:
    """The account that a token stands for, which it then no longer does."""
    row = connection.execute(
        "DELETE FROM tokens WHERE digest = ? AND purpose = ? RETURNING account_id, expires_at > datetime('now') AS valid",
        (_digest(token), purpose),
    ).fetchone()
    return row["account_id"] if row and row["valid"] else None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
