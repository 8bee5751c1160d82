"""Accounts: register, verify the address, log in and out, forget the password, leave."""

from __future__ import annotations

import re
import sqlite3

from flask import Blueprint, Flask, abort, flash, redirect, render_template, request, url_for
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response

import mail
from db import database, transaction

pages = Blueprint("accounts", __name__)
EMAIL = re.compile(r"[^@\s]{1,64}@[A-Za-z0-9.-]{1,189}\.[A-Za-z]{2,63}")
LEAST_PASSWORD, MOST_PASSWORD = 10, 200
# Compared with where there is no account, so that the answer takes as long.
_NOBODY = generate_password_hash("nobody")


class Account(UserMixin):
    """A row of `accounts`, as Flask-Login wants it."""

    def __init__(self, row: sqlite3.Row) -> None:
        self.row = row
        self.id = row["id"]

    def get_id(self) -> str:
        """Ends with a part of the password's hash, so that a new password ends every session made with the old one."""
        return f"{self.id}:{self.row['password_hash'][-16:]}"


def use(app: Flask) -> None:
    """Adds accounts to the application."""
    login = LoginManager(app)
    login.login_view = "accounts.login"
    login.user_loader(_session_account)
    app.register_blueprint(pages)


def _session_account(session_id: str) -> Account | None:
    row = by_id(int(session_id.split(":")[0]))
    account = Account(row) if row else None
    return account if account and account.get_id() == session_id else None


def by_id(account_id: int) -> sqlite3.Row | None:
    """The account of that number."""
    return database().execute("SELECT * FROM accounts WHERE id = ?", (account_id,)).fetchone()


def by_email(email: str) -> sqlite3.Row | None:
    """The account of that address."""
    return database().execute("SELECT * FROM accounts WHERE email = ?", (email,)).fetchone()


def _email() -> str:
    email = request.form.get("email", "").strip().lower()
    return email if EMAIL.fullmatch(email) else abort(400, "this is not an e-mail address")


def _new_password() -> str:
    password = request.form.get("password", "")
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        abort(400, f"a password needs {LEAST_PASSWORD} to {MOST_PASSWORD} characters")
    return password


def _password_is_right(account: sqlite3.Row | None) -> bool:
    password = request.form.get("password", "")[:MOST_PASSWORD]
    right = check_password_hash(account["password_hash"] if account else _NOBODY, password)
    return right and account is not None


def _send(connection: sqlite3.Connection, account: sqlite3.Row, purpose: str, subject: str) -> None:
    """Mails a link with a token to the page of the same name."""
    token = mail.new_token(connection, account, purpose)
    path = url_for(f"accounts.{purpose}", token=token)
    mail.outbox(connection, account, purpose, (subject, mail.link(path)))


@pages.get("/register")
def register_form() -> str:
    """The form."""
    return render_template("register.html")


@pages.post("/register")
def register() -> Response:
    """Makes an account, or does nothing where there is one: the answer must not tell which."""
    email, hashed = _email(), generate_password_hash(_new_password())
    with transaction(database()) as connection:
        made = connection.execute(
            "INSERT INTO accounts (email, password_hash) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING *", (email, hashed)
        ).fetchone()
        if made:
            _send(connection, made, "verify", "Confirm your address")
    flash("We sent you a link. Open it to confirm your address.")
    return redirect(url_for("accounts.login"), 303)


@pages.get("/verify/<token>")
def verify(token: str) -> Response:
    """The link of the first mail."""
    with transaction(database()) as connection:
        account_id = mail.redeem(connection, token, "verify")
        connection.execute("UPDATE accounts SET verified_at = CURRENT_TIMESTAMP WHERE id = ?", (account_id,))
    if account_id is None:
        abort(400, "this link was used or is too old")
    flash("Your address is confirmed. You can log in.")
    return redirect(url_for("accounts.login"), 303)


@pages.get("/login")
def login_form() -> str:
    """The form."""
    return render_template("login.html")


@pages.post("/login")
def login() -> Response:
    """Logs in whoever knows the password of a confirmed account."""
    account = by_email(_email())
    if not _password_is_right(account) or account is None:
        abort(401, "address or password is wrong")
    if account["verified_at"] is None:
        abort(403, "open the link in our mail first")
    login_user(Account(account), remember="remember" in request.form)
    return redirect(url_for("uploads.dashboard"), 303)


@pages.post("/logout")
@login_required
def logout() -> Response:
    """Ends the session."""
    logout_user()
    return redirect(url_for("accounts.login"), 303)


@pages.get("/forgot")
def forgot_form() -> str:
    """The form."""
    return render_template("forgot.html")


@pages.post("/forgot")
def forgot() -> Response:
    """Mails a link that sets a new password, where there is such an account."""
    account = by_email(_email())
    if account:
        with transaction(database()) as connection:
            _send(connection, account, "reset", "Set a new password")
    flash("If we know this address, we sent a link to it.")
    return redirect(url_for("accounts.login"), 303)


@pages.get("/reset/<token>")
def reset_form(token: str) -> str:
    """The form behind the link; opening it does not use the token up."""
    return render_template("reset.html", token=token)


@pages.post("/reset/<token>")
def reset(token: str) -> Response:
    """Sets a new password; who could open the mail has confirmed the address as well."""
    hashed = generate_password_hash(_new_password())
    with transaction(database()) as connection:
        account_id = mail.redeem(connection, token, "reset")
        connection.execute(
            "UPDATE accounts SET password_hash = ?, verified_at = coalesce(verified_at, CURRENT_TIMESTAMP) WHERE id = ?",
            (hashed, account_id),
        )
    if account_id is None:
        abort(400, "this link was used or is too old")
    flash("Your new password is set.")
    return redirect(url_for("accounts.login"), 303)


@pages.post("/account/delete")
@login_required
def delete() -> Response:
    """Deletes the account and all that is its own, once the password was given again."""
    if not _password_is_right(current_user.row):
        abort(401, "the password is wrong")
    with transaction(database()) as connection:
        connection.execute("DELETE FROM accounts WHERE id = ?", (current_user.id,))
    logout_user()
    flash("Your account is deleted.")
    return redirect(url_for("accounts.register_form"), 303)
