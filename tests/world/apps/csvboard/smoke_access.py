"""How the smoke test reads its mails, which go nowhere: the newest mail of one address, if that is under the domain
`smoke.invalid`, which no person can have (RFC 2606), for who proves to hold SECRET_KEY.

The proof is the header `X-Smoke-Proof: TIME.MAC`, with MAC the HMAC-SHA256 of `TIME.ADDRESS` in hexadecimal, under a
key that is derived from SECRET_KEY for this purpose alone, and TIME in seconds of Unix, not older than five minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import time

from flask import Blueprint, Response, abort, current_app, jsonify, request

from db import database

pages = Blueprint("smoke_access", __name__)
DOMAIN = "@smoke.invalid"
HEADER = "X-Smoke-Proof"
SECONDS = 300


def proof(secret_key: str, address: str, now: int) -> str:
    """The header's value."""
    key = hmac.digest(secret_key.encode(), b"csvboard smoke access", "sha256")
    mac = hmac.new(key, f"{now}.{address}".encode(), hashlib.sha256).hexdigest()
    return f"{now}.{mac}"


def _is_proven(address: str, given: str) -> bool:
    told = given.split(".")[0]
    if not (told.isdecimal() and len(told) < 12 and abs(time.time() - int(told)) <= SECONDS):
        return False
    expected = proof(current_app.config["SECRET_KEY"], address, int(told))
    return hmac.compare_digest(expected.encode(), given.encode())


@pages.get("/smoke/mail")
def newest_mail() -> Response:
    """The newest mail to the address; the same answer for all that is not allowed."""
    address = request.args.get("address", "")
    if not address.endswith(DOMAIN) or not _is_proven(address, request.headers.get(HEADER, "")):
        abort(404)
    row = (
        database()
        .execute("SELECT kind, subject, link FROM outbox WHERE recipient = ? ORDER BY id DESC LIMIT 1", (address,))
        .fetchone()
    )
    response = jsonify(mail=dict(row) if row else None)
    response.headers["Cache-Control"] = "no-store"
    return response
