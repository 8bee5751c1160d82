"""Idempotency keys and rate limits, through the official Stripe client."""

import stripe
from world import control, fails, rest, same, stripe_client

client = stripe_client()
WANTED = {"url": "https://app.example.com/hook", "enabled_events": ["*"]}


def create(key, **changes):
    return client.v1.webhook_endpoints.create({**WANTED, **changes}, {"idempotency_key": key})


def count():
    return len(client.v1.webhook_endpoints.list({"limit": 100}).data)


def fault(**order):
    control("POST", "/faults", {"vendor": "stripe", "method": "POST", "times": 1, **order})


def the_same_key_gives_the_same_answer_with_its_secret():
    one, again = create("k1"), create("k1")
    same((one.id, one.secret), (again.id, again.secret))
    same(again.last_response.headers["idempotent-replayed"], "true")
    same(count(), 1)
    error = fails(stripe.IdempotencyError, lambda: create("k1", description="other"))
    same(error.http_status, 400)
    elsewhere = lambda: client.v1.webhook_endpoints.update(one.id, {}, {"idempotency_key": "k1"})
    fails(stripe.IdempotencyError, elsewhere)


def a_replay_may_hide_the_secret():
    made = create("k1")
    control("POST", "/settings", {"stripeReplaysSecret": False})
    again = create("k1")
    same(again.id, made.id)
    assert "secret" not in again
    control("POST", "/settings", {"stripeReplaysSecret": True})
    same(create("k1").secret, made.secret)


def the_cap_differs_between_accounts():
    control("POST", "/settings", {"stripeEndpoints": 1})
    error = fails(stripe.InvalidRequestError, lambda: create("k0"))
    assert "maximum of 1 test webhook endpoints" in str(error), str(error)
    control("POST", "/settings", {"stripeEndpoints": 100})


def a_lost_answer_is_found_again():
    fault(kind="lost")
    fails(stripe.APIConnectionError, lambda: create("k2"))
    same(count(), 2)
    assert create("k2").secret.startswith("whsec_")
    same(count(), 2)


def a_recorded_500_stays():
    body = {"error": {"type": "api_error", "message": "An unknown error occurred"}}
    fault(kind="status", code=500, body=body, apply=True)
    fails(stripe.APIError, lambda: create("k3"))
    fails(stripe.APIError, lambda: create("k3"))
    same(count(), 3)
    fault(kind="status", code=503, body=body)
    fails(stripe.APIError, lambda: create("k4"))
    create("k4")
    same(count(), 4)


def the_client_repeats_with_one_key():
    fault(kind="lost")
    stripe_client(retries=2).v1.webhook_endpoints.create(WANTED)
    same(count(), 5)


def bad_parameters_are_not_recorded():
    fails(stripe.InvalidRequestError, lambda: create("k5", url="nonsense"))
    create("k5")


def keys_end_after_a_day():
    control("POST", "/clock", {"advanceSeconds": 24 * 3600 + 1})
    before = count()
    create("k1", description="other")
    same(count(), before + 1)


def too_many_requests_are_told_apart():
    control("POST", "/clock", {"advanceSeconds": 2, "hold": True})
    for _ in range(25):
        client.v1.webhook_endpoints.list({"limit": 1})
    error = fails(stripe.RateLimitError, lambda: client.v1.webhook_endpoints.list({"limit": 1}))
    same((error.http_status, error.json_body["error"]["code"]), (429, "rate_limit"))
    control("POST", "/clock", {"advanceSeconds": 1})
    client.v1.webhook_endpoints.list({"limit": 1})
    control("POST", "/clock", {"hold": False})


the_same_key_gives_the_same_answer_with_its_secret()
a_replay_may_hide_the_secret()
the_cap_differs_between_accounts()
a_lost_answer_is_found_again()
rest()
a_recorded_500_stays()
the_client_repeats_with_one_key()
rest()
bad_parameters_are_not_recorded()
keys_end_after_a_day()
too_many_requests_are_told_apart()
for row in list(client.v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter()):
    client.v1.webhook_endpoints.delete(row.id)
