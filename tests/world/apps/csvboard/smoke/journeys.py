"""What customers do, done over the public address with an account of its own, which is deleted at the end.

    GOLIVE_URL=https://app.example.com SECRET_KEY=... python smoke/journeys.py

SECRET_KEY is the application's: it opens the mails of this account (see smoke_access.py). Where
STRIPE_WEBHOOK_SECRET is set too, a checkout is played with an event that this script signs as Stripe would.
SSL_CERT_FILE names the authorities to trust instead of the usual ones.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import requests

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import smoke_access  # noqa: E402 - the path above is what finds it

TIMEOUT = 15
REACHED_SECONDS = 60
CSV = "month,visits\nJanuary,40\nFebruary,2\n"


class Failed(Exception):
    """A step did not end as a customer would expect."""


def expect(answer: requests.Response, status: int, *texts: str) -> requests.Response:
    """Fails unless the answer has this status and these texts."""
    place = f"{answer.request.method} {urlsplit(answer.request.url).path}"
    if answer.status_code != status:
        raise Failed(f"{place} answered {answer.status_code} instead of {status}: {_gist(answer)}")
    missing = next((text for text in texts if text not in answer.text), None)
    if missing:
        raise Failed(f"{place} does not say {missing!r}: {_gist(answer)}")
    return answer


def _gist(answer: requests.Response) -> str:
    if "html" not in answer.headers.get("Content-Type", ""):
        return answer.text[:200]
    main = answer.text.partition("<main>")[2].partition("</main>")[0] or answer.text
    return " ".join(re.sub(r"<[^>]+>", " ", main).split())[:200]


class Visitor:
    """A browser with one account."""

    def __init__(self, base_url: str, secret_key: str) -> None:
        self.base_url, self.secret_key = base_url.rstrip("/"), secret_key
        self.email = f"smoke-{secrets.token_hex(8)}{smoke_access.DOMAIN}"
        self.password = secrets.token_urlsafe(16)
        self.session = requests.Session()
        self.session.headers["User-Agent"] = "csvboard-journeys"

    def ask(self, method: str, path: str, **more: object) -> requests.Response:
        """A request as this visitor; redirects are followed as browsers do."""
        trust = os.environ.get("SSL_CERT_FILE") or True
        return self.session.request(method, self.base_url + path, timeout=TIMEOUT, verify=trust, **more)

    def post(self, path: str, **form: str) -> requests.Response:
        """Sends a form of this site."""
        return self.ask("POST", path, data=form, headers={"Origin": self.base_url})

    def mail(self, kind: str) -> str:
        """The path of the link in this visitor's newest mail, which must be of that kind."""
        proof = smoke_access.proof(self.secret_key, self.email, int(time.time()))
        answer = self.ask("GET", "/smoke/mail", params={"address": self.email}, headers={smoke_access.HEADER: proof})
        newest = expect(answer, 200).json()["mail"]
        if newest is None or newest["kind"] != kind:
            raise Failed(f"the newest mail is {newest and newest['kind']!r} instead of {kind!r}")
        return urlsplit(newest["link"]).path


def reach(visitor: Visitor) -> None:
    """Waits until the public address answers: names and routes need a moment to be known everywhere."""
    deadline = time.monotonic() + REACHED_SECONDS
    while True:
        try:
            answer = visitor.ask("GET", "/health")
        except requests.RequestException as error:
            problem = f"{visitor.base_url} cannot be reached: {error}"
        else:
            if answer.status_code < 500 and answer.status_code != 404:
                expect(answer, 200, '"ok"')
                return
            problem = f"/health answers {answer.status_code}"
        if time.monotonic() > deadline:
            raise Failed(problem)
        time.sleep(1)


def register(visitor: Visitor) -> None:
    """Makes the account."""
    expect(visitor.post("/register", email=visitor.email, password=visitor.password), 200, "We sent you a link")


def verify(visitor: Visitor) -> None:
    """Cannot log in before the link in the mail was opened."""
    expect(visitor.post("/login", email=visitor.email, password=visitor.password), 403)
    expect(visitor.ask("GET", visitor.mail("verify")), 200, "Your address is confirmed")


def login(visitor: Visitor) -> None:
    """Logs in, and not with a wrong password."""
    expect(visitor.post("/login", email=visitor.email, password="not the password"), 401)
    expect(visitor.post("/login", email=visitor.email, password=visitor.password), 200, "Dashboard")


def upload(visitor: Visitor) -> None:
    """Uploads a file and sees its rows and sums."""
    files = {"file": ("visits.csv", CSV, "text/csv")}
    answer = visitor.ask("POST", "/uploads", files=files, headers={"Origin": visitor.base_url})
    expect(answer, 200, "visits.csv", "February", "<td>42</td>")


def download(visitor: Visitor) -> None:
    """Downloads the file as a PDF."""
    found = re.search(r'href="(/uploads/\d+\.pdf)"', visitor.ask("GET", "/dashboard").text)
    if not found:
        raise Failed("the dashboard has no link to a PDF")
    answer = expect(visitor.ask("GET", found[1]), 200)
    if not (answer.content.startswith(b"%PDF-") and b"February" in answer.content and b"%%EOF" in answer.content[-10:]):
        raise Failed("the PDF is not a PDF with the file's rows")


def forgot(visitor: Visitor) -> None:
    """Sets a new password by the link in a mail; the old one is worth nothing then."""
    old, visitor.password = visitor.password, secrets.token_urlsafe(16)
    expect(visitor.post("/forgot", email=visitor.email), 200, "we sent a link")
    expect(visitor.post(visitor.mail("reset"), password=visitor.password), 200, "Your new password is set")
    expect(visitor.post("/login", email=visitor.email, password=old), 401)
    expect(visitor.post("/login", email=visitor.email, password=visitor.password), 200, "Dashboard")


def webhook(visitor: Visitor) -> None:
    """An event that nobody signed, or somebody else, is refused."""
    event = json.dumps({"id": "evt_unsigned", "object": "event", "type": "checkout.session.completed"})
    expect(visitor.ask("POST", "/stripe-webhook", data=event), 400)
    forged = {"Stripe-Signature": signature(event, "whsec_not_ours")}
    expect(visitor.ask("POST", "/stripe-webhook", data=event, headers=forged), 400)


def checkout(visitor: Visitor) -> None:
    """A paid checkout makes the account a paying one, once, and is confirmed by mail."""
    secret = os.environ.get("STRIPE_WEBHOOK_SECRET", "")
    if not secret:
        print("skip checkout: STRIPE_WEBHOOK_SECRET is not set")
        return
    mark = secrets.token_hex(8)
    thing = {"id": f"cs_test_{mark}", "object": "checkout.session", "customer": f"cus_smoke{mark}", "customer_email": visitor.email}
    about = {"id": f"evt_smoke{mark}", "object": "event", "type": "checkout.session.completed", "livemode": False}
    event = json.dumps(about | {"data": {"object": thing}})
    for repeated in ("false", "true"):
        signed = {"Stripe-Signature": signature(event, secret), "Content-Type": "application/json"}
        expect(visitor.ask("POST", "/stripe-webhook", data=event, headers=signed), 200, f'"duplicate":{repeated}')
    visitor.mail("receipt")
    expect(visitor.ask("GET", "/dashboard"), 200, "<small>pro</small>")


def signature(payload: str, secret: str) -> str:
    """Signs as Stripe does: https://docs.stripe.com/webhooks/signature#verify-manually"""
    now = int(time.time())
    return f"t={now},v1={hmac.new(secret.encode(), f'{now}.{payload}'.encode(), hashlib.sha256).hexdigest()}"


def clean_up(visitor: Visitor) -> None:
    """Deletes the account, whatever came before: by the mail's link where it was not confirmed yet."""
    if "/account/delete" not in visitor.ask("GET", "/dashboard").text:
        visitor.post("/forgot", email=visitor.email)
        visitor.post(visitor.mail("reset"), password=visitor.password)
        visitor.post("/login", email=visitor.email, password=visitor.password)
    expect(visitor.post("/account/delete", password=visitor.password), 200, "Your account is deleted")
    expect(visitor.post("/login", email=visitor.email, password=visitor.password), 401)


JOURNEYS: tuple[Callable[[Visitor], None], ...] = (verify, login, upload, download, forgot, webhook, checkout)


def travel(visitor: Visitor) -> None:
    """All journeys, in order; the account goes again even if one fails."""
    take(reach, visitor)
    take(register, visitor)
    try:
        for journey in JOURNEYS:
            take(journey, visitor)
    except Exception:
        try:
            clean_up(visitor)
        except Exception as error:  # noqa: BLE001 - the journey's own failure is the one to tell
            print(f"left behind: the account {visitor.email} ({error})", file=sys.stderr)
        raise
    take(clean_up, visitor)


def take(journey: Callable[[Visitor], None], visitor: Visitor) -> None:
    """One journey, told in a line."""
    begun, name = time.monotonic(), journey.__name__.replace("_", " ")
    try:
        journey(visitor)
    except (Failed, requests.RequestException) as error:
        raise Failed(f"{name}: {error}") from error
    print(f"ok {name} ({time.monotonic() - begun:.2f} s)", flush=True)


def main() -> int:
    """Takes the journeys; 1 if one failed, 2 if the environment does not say enough."""
    base_url = os.environ.get("GOLIVE_URL") or os.environ.get("BASE_URL")
    secret_key = os.environ.get("SECRET_KEY")
    if not base_url or not secret_key:
        print("journeys: set GOLIVE_URL (or BASE_URL) and SECRET_KEY", file=sys.stderr)
        return 2
    try:
        travel(Visitor(base_url, secret_key))
    except Failed as error:
        print(f"journeys: FAILED {error}", file=sys.stderr)
        return 1
    print("journeys: all passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
