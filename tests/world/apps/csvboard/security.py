"""What every answer carries, and which requests are refused before they reach a page."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, request

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
HSTS = "max-age=31536000"
# These prove who sends them by a signature.
SIGNED = {"billing.webhook"}


def guard(app: Flask) -> None:
    """Puts the guards around all pages."""
    app.before_request(refuse_other_sites)
    app.after_request(add_headers)


def refuse_other_sites() -> None:
    """Refuses a form that another site sends with our visitor's cookies. Browsers name the sender in Origin:
    https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html"""
    origin = request.headers.get("Origin")
    if request.method in {"GET", "HEAD", "OPTIONS"} or request.endpoint in SIGNED or origin is None:
        return
    if urlsplit(origin).netloc != request.host:
        abort(403, "this form was sent by another site")


def add_headers(response: Response) -> Response:
    """Adds what browsers are told; pages that show an account's data stay out of caches."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if current_app.config["ENABLE_HSTS"]:
        response.headers.setdefault("Strict-Transport-Security", HSTS)
    if response.mimetype == "text/html":
        response.headers.setdefault("Cache-Control", "no-cache")
    return response
