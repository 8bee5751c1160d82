"""Stripe's events."""

import hashlib
import hmac
import json
import time

import pytest

from tests.conftest import OLD_SIGNING, SIGNING
from tests.visitor import Visitor


def sign(payload, secret=SIGNING, age=0):
    now = int(time.time()) - age
    return f"t={now},v1={hmac.new(secret.encode(), f'{now}.{payload}'.encode(), hashlib.sha256).hexdigest()}"


def event(kind="checkout.session.completed", number=1, **thing):
    thing = {"id": "cs_1", "object": "checkout.session", "customer": "cus_1"} | thing
    return json.dumps({"id": f"evt_{number}", "object": "event", "type": kind, "data": {"object": thing}})


def deliver(visitor, payload, signature=None):
    signature = sign(payload) if signature is None else signature
    return visitor.client.post("/stripe-webhook", data=payload, headers={"Stripe-Signature": signature})


@pytest.mark.parametrize("signature", ["", "nonsense", "t=1,v1=00", sign(event(), "whsec_other"), sign(event(), age=3600)])
def test_what_stripe_did_not_sign_just_now_is_refused(visitor, signature):
    assert deliver(visitor, event(), signature).status_code == 400
    assert visitor.rows("SELECT count(*) FROM stripe_events") == [(0,)]


def test_a_changed_payload_is_refused(visitor):
    assert deliver(visitor, event(number=2), sign(event(number=1))).status_code == 400


@pytest.mark.parametrize("secret", [SIGNING, OLD_SIGNING])
def test_both_secrets_count_while_one_is_replaced(visitor, secret):
    assert deliver(visitor, event(), sign(event(), secret)).status_code == 200


def test_an_event_counts_once(visitor):
    visitor.settled()
    answers = [deliver(visitor, event(customer_email=visitor.email)).json for _ in range(2)]
    assert [answer["duplicate"] for answer in answers] == [False, True]
    assert visitor.rows("SELECT count(*) FROM outbox WHERE kind = 'receipt'") == [(1,)]


def test_the_plan_follows_the_subscription(visitor):
    visitor.settled()
    steps = [
        (event(number=1, customer_email=visitor.email), "pro"),
        (event("customer.subscription.updated", 2, status="past_due"), "free"),
        (event("customer.subscription.updated", 3, status="active"), "pro"),
        (event("customer.subscription.deleted", 4, status="canceled"), "free"),
    ]
    for payload, plan in steps:
        assert deliver(visitor, payload).status_code == 200
        assert visitor.rows("SELECT plan FROM accounts") == [(plan,)]


def test_a_failed_payment_is_noted(visitor):
    visitor.settled()
    deliver(visitor, event(customer_email=visitor.email))
    deliver(visitor, event("invoice.payment_failed", 2))
    assert visitor.rows("SELECT payment_failed_at IS NOT NULL FROM accounts") == [(1,)]


def test_events_about_nobody_are_taken_too(visitor):
    assert deliver(visitor, event("customer.subscription.deleted")).status_code == 200


def test_events_are_told_only_where_tests_may_ask(visitor, make, path):
    deliver(visitor, event())
    assert [told["id"] for told in visitor.get("/stripe-webhook/events").json["events"]] == ["evt_1"]
    assert Visitor(make(ENABLE_TEST_ENDPOINTS=""), path).get("/stripe-webhook/events").status_code == 404


def test_without_a_secret_nothing_is_taken(make, path):
    bare = Visitor(make(STRIPE_WEBHOOK_SECRET="", STRIPE_WEBHOOK_SECRET_PREVIOUS=""), path)
    assert deliver(bare, event(), "").status_code == 400
    assert deliver(bare, event(), sign(event(), "")).status_code == 503
