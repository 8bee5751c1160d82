"""Where the servers are, and how the official clients reach them."""

import json
import os
import ssl
import urllib.request

import cloudflare
import httpx
import stripe

CA = os.environ["CA_BUNDLE"]
CONTROL = os.environ["VENDORS_CONTROL"]
LIVE, TEST = os.environ["STRIPE_LIVE_KEY"], os.environ["STRIPE_TEST_KEY"]
TOKEN, ACCOUNT = os.environ["CLOUDFLARE_TOKEN"], os.environ["CLOUDFLARE_ACCOUNT"]
ACCOUNT_TOKEN = os.environ["CLOUDFLARE_ACCOUNT_TOKEN"]
ZONE = os.environ["CLOUDFLARE_ZONE"]
DNS_HOST, DNS_PORT = os.environ["DNS_SERVER"].rsplit(":", 1)

stripe.ca_bundle_path = CA


def stripe_client(key=TEST, retries=0):
    """The official Stripe client against our server."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": os.environ["STRIPE_API"]},
        http_client=stripe.RequestsClient(verify_ssl_certs=True),
        max_network_retries=retries,
    )


def cloudflare_client(token=TOKEN, retries=0):
    """The official Cloudflare client against our server."""
    return cloudflare.Cloudflare(
        api_token=token,
        base_url=os.environ["CLOUDFLARE_API"],
        max_retries=retries,
        http_client=httpx.Client(verify=ssl.create_default_context(cafile=CA)),
    )


def control(method, path, body=None):
    """A call of the control API."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(CONTROL + path, data=data, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def rest():
    """Lets the limits per second run out of the window."""
    control("POST", "/clock", {"advanceSeconds": 2})


def fails(kind, action):
    """Runs an action that must fail with this exception, and returns the exception."""
    try:
        result = action()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, got {result!r}")


def same(seen, wanted):
    """Compares, and shows both when they differ."""
    assert seen == wanted, f"seen {seen!r}, wanted {wanted!r}"
