"""What Stripe tells: events are verified, taken once each, and change the plan of the account they are about."""

from __future__ import annotations

import sqlite3
from typing import Any

import stripe
from flask import Blueprint, Flask, Response, abort, current_app, jsonify, request, url_for

import mail
from db import database, transaction

pages = Blueprint("billing", __name__)
tests = Blueprint("billing_tests", __name__)
PAID = {"active", "trialing"}


def use(app: Flask) -> None:
    """Adds the webhook, and for tests what it received."""
    app.register_blueprint(pages)
    if app.config["ENABLE_TEST_ENDPOINTS"]:
        app.register_blueprint(tests)


@pages.post("/stripe-webhook")
def webhook() -> Response:
    """Takes an event that Stripe signed, once; anything else is refused."""
    event = _verified(request.get_data(cache=False), request.headers.get("Stripe-Signature", ""))
    with transaction(database()) as connection:
        account = _account(connection, event["data"]["object"])
        taken = connection.execute(
            "INSERT INTO stripe_events (id, type, account_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (event["id"], event["type"], account["id"] if account else None),
        ).rowcount
        if taken and account:
            _apply(connection, account, event)
    return jsonify(received=True, duplicate=not taken)


def _verified(payload: bytes, signature: str) -> dict[str, Any]:
    """The event, if one of the signing secrets made the signature: while a secret is replaced there are two.
    https://docs.stripe.com/webhooks/signature"""
    secrets = current_app.config["WEBHOOK_SECRETS"]
    if signature and not secrets:
        abort(503, "STRIPE_WEBHOOK_SECRET is not set")
    for secret in secrets:
        try:
            return stripe.Webhook.construct_event(payload, signature, secret).to_dict()
        except stripe.SignatureVerificationError:
            continue
        except ValueError:
            break
    abort(400, "the signature is missing or wrong")


def _account(connection: sqlite3.Connection, thing: dict[str, Any]) -> sqlite3.Row | None:
    """Whom an event is about: a checkout names the address it was begun with, all else names Stripe's customer."""
    details = thing.get("customer_details") or {}
    email = thing.get("customer_email") or details.get("email") or ""
    return connection.execute(
        "SELECT * FROM accounts WHERE stripe_customer = ? OR email = ? ORDER BY stripe_customer = ? DESC",
        (thing.get("customer"), email.lower(), thing.get("customer")),
    ).fetchone()


def _apply(connection: sqlite3.Connection, account: sqlite3.Row, event: dict[str, Any]) -> None:
    """Does what the kinds of event ask for: https://docs.stripe.com/billing/subscriptions/webhooks"""
    thing = event["data"]["object"]
    match event["type"]:
        case "checkout.session.completed":
            connection.execute(
                "UPDATE accounts SET plan = 'pro', payment_failed_at = NULL, stripe_customer = coalesce(?, stripe_customer)"
                " WHERE id = ?",
                (thing.get("customer"), account["id"]),
            )
            mail.outbox(connection, account, "receipt", ("Thank you for subscribing", mail.link(url_for("uploads.dashboard"))))
        case "customer.subscription.updated":
            _set_plan(connection, account, "pro" if thing.get("status") in PAID else "free")
        case "customer.subscription.deleted":
            _set_plan(connection, account, "free")
        case "invoice.payment_failed":
            connection.execute("UPDATE accounts SET payment_failed_at = CURRENT_TIMESTAMP WHERE id = ?", (account["id"],))


def _set_plan(connection: sqlite3.Connection, account: sqlite3.Row, plan: str) -> None:
    connection.execute("UPDATE accounts SET plan = ?, payment_failed_at = NULL WHERE id = ?", (plan, account["id"]))


@tests.get("/stripe-webhook/events")
def events() -> Response:
    """The events taken, oldest first: only where ENABLE_TEST_ENDPOINTS is set."""
    rows = database().execute("SELECT id, type, received_at FROM stripe_events ORDER BY rowid").fetchall()
    return jsonify(events=[dict(row) for row in rows])
