"""Accounts, from registering to leaving."""

import sqlite3

import pytest

import accounts
from tests.visitor import PASSWORD, Visitor


def test_an_account_is_of_use_once_its_address_is_confirmed(visitor):
    assert visitor.register().status_code == 303
    assert visitor.login().status_code == 403
    assert visitor.get(visitor.link("verify")).status_code == 303
    assert visitor.login().headers["Location"] == "/dashboard"


def test_a_link_works_once(visitor):
    visitor.register()
    link = visitor.link("verify")
    assert [visitor.get(link).status_code for _ in range(2)] == [303, 400]


def test_a_link_that_is_too_old_is_refused(visitor):
    visitor.register()
    with sqlite3.connect(visitor.path) as connection:
        connection.execute("UPDATE tokens SET expires_at = datetime('now', '-1 second')")
    assert visitor.get(visitor.link("verify")).status_code == 400
    assert visitor.login().status_code == 403


def test_registering_twice_answers_the_same_and_changes_nothing(visitor):
    first, second = visitor.register(), visitor.post("/register", {"email": visitor.email, "password": "another password"})
    assert (first.status_code, first.headers["Location"]) == (second.status_code, second.headers["Location"])
    assert visitor.rows("SELECT count(*) FROM outbox") == [(1,)]


@pytest.mark.parametrize("form", [{"email": "ada", "password": PASSWORD}, {"email": "a@b.example", "password": "short"}, {}])
def test_a_form_that_is_not_filled_in_is_refused(visitor, form):
    assert visitor.post("/register", form).status_code == 400
    assert visitor.rows("SELECT count(*) FROM accounts") == [(0,)]


def test_an_unknown_address_costs_as_much_as_a_known_one(visitor, monkeypatch):
    compared = []
    monkeypatch.setattr(accounts, "check_password_hash", lambda kept, given: compared.append(kept) or kept == given)
    assert visitor.login().status_code == 401
    visitor.register()
    assert visitor.login().status_code == 401
    assert len(compared) == 2 and compared[0] != compared[1]


def test_passwords_and_tokens_are_kept_as_digests_only(visitor):
    visitor.register()
    token = visitor.link("verify").rsplit("/", 1)[1]
    kept = str(visitor.rows("SELECT * FROM accounts")) + str(visitor.rows("SELECT * FROM tokens"))
    assert PASSWORD not in kept and token not in kept


def test_a_new_password_ends_sessions_made_with_the_old_one(visitor):
    visitor.settled()
    elsewhere = Visitor(visitor.app, visitor.path)
    assert elsewhere.post("/forgot", {"email": visitor.email}).status_code == 303
    assert elsewhere.post(elsewhere.link("reset"), {"password": "a new password"}).status_code == 303
    assert visitor.get("/dashboard").status_code == 302
    assert elsewhere.login().status_code == 401
    assert elsewhere.login("a new password").status_code == 303


def test_forgetting_an_unknown_address_answers_the_same(visitor):
    assert visitor.post("/forgot", {"email": "nobody@example.com"}).status_code == 303
    assert visitor.rows("SELECT count(*) FROM outbox") == [(0,)]


def test_leaving_takes_everything_along(visitor):
    visitor.settled().upload(b"a,b\n1,2\n")
    assert visitor.post("/account/delete", {"password": "wrong"}).status_code == 401
    assert visitor.post("/account/delete", {"password": PASSWORD}).status_code == 303
    assert visitor.get("/dashboard").status_code == 302
    for table in ("accounts", "tokens", "outbox", "uploads"):
        assert visitor.rows(f"SELECT count(*) FROM {table}") == [(0,)], table


def test_cookies_are_for_https_and_not_for_scripts(visitor):
    visitor.settled()
    cookies = visitor.login(remember="on").headers.getlist("Set-Cookie")
    assert {cookie.split("=")[0] for cookie in cookies} == {"session", "remember_token"}
    assert all("Secure" in cookie and "HttpOnly" in cookie and "SameSite=Lax" in cookie for cookie in cookies)
