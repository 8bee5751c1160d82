"""CSV files: upload one, see it on the dashboard, take it away as a PDF."""

from __future__ import annotations

import csv
import io
import sqlite3

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from flask_login import current_user, login_required
from werkzeug.utils import secure_filename
from werkzeug.wrappers import Response as Redirect

import pdf
from db import database, transaction

pages = Blueprint("uploads", __name__)
MOST_BYTES, MOST_COLUMNS, MOST_ROWS = 1 << 20, 50, 10_000
SHOWN_ROWS = 100


def parse(content: str) -> list[list[str]]:
    """The rows of a CSV file, the first of which names the columns; ValueError says what is wrong with it."""
    try:
        rows = [row for row in csv.reader(io.StringIO(content, newline=""), strict=True) if row]
    except csv.Error as error:
        raise ValueError(f"this is not CSV: {error}") from error
    if len(rows) < 2:
        raise ValueError("a file needs a line of names and at least one row")
    if len(rows) > MOST_ROWS or len(rows[0]) > MOST_COLUMNS:
        raise ValueError(f"a file may have {MOST_ROWS} rows of {MOST_COLUMNS} columns")
    uneven = next((number for number, row in enumerate(rows, 1) if len(row) != len(rows[0])), None)
    if uneven:
        raise ValueError(f"row {uneven} has {len(rows[uneven - 1])} fields instead of {len(rows[0])}")
    return rows


def totals(rows: list[list[str]]) -> list[float | None]:
    """The sum of each column that holds only numbers."""

    def total(values: tuple[str, ...]) -> float | None:
        try:
            return sum(map(float, values))
        except ValueError:
            return None

    return [total(column) for column in zip(*rows[1:], strict=True)]


def _own(upload_id: int) -> sqlite3.Row:
    row = database().execute(
        "SELECT * FROM uploads WHERE id = ? AND account_id = ?", (upload_id, current_user.id)
    ).fetchone()
    return row or abort(404)


@pages.get("/dashboard")
@login_required
def dashboard() -> str:
    """The account's files, the newest opened."""
    uploads = database().execute(
        "SELECT * FROM uploads WHERE account_id = ? ORDER BY id DESC", (current_user.id,)
    ).fetchall()
    rows = parse(uploads[0]["content"]) if uploads else []
    table = {"header": rows[0], "rows": rows[1 : SHOWN_ROWS + 1], "totals": totals(rows)} if rows else None
    return render_template("dashboard.html", uploads=uploads, table=table)


@pages.post("/uploads")
@login_required
def upload() -> Redirect:
    """Takes a CSV file in UTF-8."""
    file = request.files.get("file") or abort(400, "choose a file")
    try:
        content = file.stream.read(MOST_BYTES).decode("utf-8-sig")
        rows = parse(content)
    except ValueError as error:
        abort(400, f"the file was refused: {error}")
    name = secure_filename(file.filename or "") or "data.csv"
    with transaction(database()) as connection:
        connection.execute(
            "INSERT INTO uploads (account_id, file_name, content, row_count) VALUES (?, ?, ?, ?)",
            (current_user.id, name, content, len(rows) - 1),
        )
    return redirect(url_for("uploads.dashboard"), 303)


@pages.get("/uploads/<int:upload_id>.pdf")
@login_required
def download(upload_id: int) -> Response:
    """The file as a PDF."""
    row = _own(upload_id)
    body = pdf.table(row["file_name"], parse(row["content"]))
    headers = {"Content-Disposition": f'attachment; filename="{row["file_name"]}.pdf"', "Cache-Control": "private, no-store"}
    return Response(body, mimetype="application/pdf", headers=headers)


@pages.post("/uploads/<int:upload_id>/delete")
@login_required
def delete(upload_id: int) -> Redirect:
    """Deletes a file."""
    row = _own(upload_id)
    with transaction(database()) as connection:
        connection.execute("DELETE FROM uploads WHERE id = ?", (row["id"],))
    return redirect(url_for("uploads.dashboard"), 303)
