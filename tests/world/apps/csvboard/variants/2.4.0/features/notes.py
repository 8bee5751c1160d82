"""A note on each file."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, abort, jsonify, request
from flask_login import current_user, login_required

from db import database, transaction

pages = Blueprint("notes", __name__)
MOST = 500


def use(app: Flask) -> None:
    """Adds notes to the application."""
    app.register_blueprint(pages)


@pages.get("/uploads/<int:upload_id>/note")
@login_required
def read(upload_id: int) -> Response:
    """The note."""
    row = database().execute(
        "SELECT note FROM uploads WHERE id = ? AND account_id = ?", (upload_id, current_user.id)
    ).fetchone()
    return jsonify(note=row["note"]) if row else abort(404)


@pages.post("/uploads/<int:upload_id>/note")
@login_required
def write(upload_id: int) -> Response:
    """Replaces the note."""
    note = request.form.get("note", "")[:MOST]
    with transaction(database()) as connection:
        changed = connection.execute(
            "UPDATE uploads SET note = ? WHERE id = ? AND account_id = ?", (note, upload_id, current_user.id)
        ).rowcount
    return jsonify(note=note) if changed else abort(404)
