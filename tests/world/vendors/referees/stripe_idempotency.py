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
    rest()
    for _ in range(25):
        client.v1.webhook_endpoints.list({"limit": 1})
    # The SDK takes milliseconds for each call: a window of one second may close in between.
    error = None
    for _ in range(40):
        try:
            client.v1.webhook_endpoints.list({"limit": 1})
        except stripe.RateLimitError as seen:
            error = seen
    assert error is not None, "never throttled"
    same((error.http_status, error.json_body["error"]["code"]), (429, "rate_limit"))
    rest()


the_same_key_gives_the_same_answer_with_its_secret()
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
