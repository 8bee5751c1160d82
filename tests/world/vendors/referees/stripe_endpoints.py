"""The life of webhook endpoints, through the official Stripe client."""

import stripe
from world import LIVE, TEST, fails, rest, same, stripe_client

test, live = stripe_client(TEST), stripe_client(LIVE)
WANTED = {"url": "https://app.example.com/hook", "enabled_events": ["invoice.paid", "charge.failed"]}


def create(client=test, **changes):
    return client.v1.webhook_endpoints.create({**WANTED, **changes})


def the_secret_is_shown_once():
    made = create(metadata={"uid": "u1", "ordinal": "0"}, description="ours", api_version="2026-10-28.endive")
    assert made.secret.startswith("whsec_") and len(made.secret) == 38, made.secret
    same((made.status, made.livemode, made.api_version), ("enabled", False, "2026-10-28.endive"))
    seen = test.v1.webhook_endpoints.retrieve(made.id)
    assert "secret" not in seen, "the secret appears again"
    same(dict(seen.metadata.to_dict()), {"uid": "u1", "ordinal": "0"})
    assert all("secret" not in row for row in test.v1.webhook_endpoints.list())
    return made


def updates_merge_metadata(made):
    changed = test.v1.webhook_endpoints.update(made.id, {"metadata": {"uid": "u2", "ordinal": ""}, "disabled": True})
    same((changed.metadata.to_dict(), changed.status), ({"uid": "u2"}, "disabled"))
    changed = test.v1.webhook_endpoints.update(made.id, {"metadata": "", "disabled": False, "url": "http://b.example.com"})
    same((changed.metadata.to_dict(), changed.status, changed.url), ({}, "enabled", "http://b.example.com"))
    same(changed.enabled_events, WANTED["enabled_events"])
    for fixed in ({"api_version": "2026-10-28.endive"}, {"connect": True}):
        error = fails(stripe.InvalidRequestError, lambda: test.v1.webhook_endpoints.update(made.id, fixed))
        same((error.http_status, error.code, error.param), (400, "parameter_unknown", next(iter(fixed))))


def bad_parameters_are_named():
    cases = [
        ({"enabled_events": ["charge.exploded"]}, "enabled_events[0]", None),
        ({"url": "not a url"}, "url", "url_invalid"),
        ({"api_version": "1999-01-01"}, "api_version", None),
        ({"metadata": {"k" * 41: "v"}}, f"metadata[{'k' * 41}]", None),
        ({"metadata": {"k": "v" * 501}}, "metadata[k]", None),
        ({"colour": "blue"}, "colour", "parameter_unknown"),
    ]
    for change, param, code in cases:
        error = fails(stripe.InvalidRequestError, lambda: create(**change))
        same((error.http_status, error.param, error.code), (400, param, code))
    missing = fails(stripe.InvalidRequestError, lambda: test.v1.webhook_endpoints.create({"enabled_events": ["*"]}))
    same((missing.param, missing.code), ("url", "parameter_missing"))
    assert missing.request_id.startswith("req_")


def live_and_test_are_apart(made):
    same(len(live.v1.webhook_endpoints.list().data), 0)
    error = fails(stripe.InvalidRequestError, lambda: live.v1.webhook_endpoints.retrieve(made.id))
    same((error.http_status, error.code), (404, "resource_missing"))
    fails(stripe.InvalidRequestError, lambda: create(live, url="http://app.example.com/hook"))
    own = create(live)
    same(own.livemode, True)
    live.v1.webhook_endpoints.delete(own.id)
    same(test.v1.accounts.retrieve_current().id, live.v1.accounts.retrieve_current().id)


def pages_follow_their_cursor_up_to_the_cap():
    rest()
    made = [create(metadata={"n": str(number)}) for number in range(15)]
    rows = list(test.v1.webhook_endpoints.list({"limit": 4}).auto_paging_iter())
    same([row.metadata["n"] for row in rows[:15]], [str(number) for number in reversed(range(15))])
    same(len({row.id for row in rows}), 16)
    rest()
    page = test.v1.webhook_endpoints.list()
    same((len(page.data), page.has_more), (10, True))
    back = test.v1.webhook_endpoints.list({"limit": 3, "ending_before": rows[5].id})
    same(([row.id for row in back.data], back.has_more), ([row.id for row in rows[2:5]], True))
    full = fails(stripe.InvalidRequestError, create)
    assert "maximum of 16 test webhook endpoints" in str(full) and full.code is None, str(full)
    fails(stripe.InvalidRequestError, lambda: test.v1.webhook_endpoints.list({"limit": 101}))
    return made


def deletion_is_final(made):
    rest()
    for endpoint in made:
        same(test.v1.webhook_endpoints.delete(endpoint.id).deleted, True)
    gone = fails(stripe.InvalidRequestError, lambda: test.v1.webhook_endpoints.delete(made[0].id))
    same((gone.http_status, gone.code), (404, "resource_missing"))


def wrong_keys_are_refused_without_showing_them():
    error = fails(stripe.AuthenticationError, lambda: stripe_client("sk_test_wrongwrongwrong1").v1.webhook_endpoints.list())
    same(error.http_status, 401)
    assert "sk_test_" in str(error) and "wrongwrong" not in str(error), str(error)


first = the_secret_is_shown_once()
updates_merge_metadata(first)
bad_parameters_are_named()
live_and_test_are_apart(first)
others = pages_follow_their_cursor_up_to_the_cap()
deletion_is_final(others + [first])
wrong_keys_are_refused_without_showing_them()
