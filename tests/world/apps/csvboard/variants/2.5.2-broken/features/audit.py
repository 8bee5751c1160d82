"""Writes down who took which file away; by default to a folder that production does not have."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from flask import Flask, Response, request

LOG = os.environ.get("AUDIT_LOG", "/var/log/csvboard/audit.log")


def use(app: Flask) -> None:
    """Adds the audit to the application."""
    app.after_request(note)


def note(response: Response) -> Response:
    """Writes a line for each PDF."""
    if response.mimetype == "application/pdf":
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC).isoformat()} {request.path}\n")
    return response
