"""csvboard: upload a CSV file, look at it, take it away as a PDF; by subscription.

`app` is what gunicorn serves; `init_db` brings the schema up to date.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from dataclasses import asdict

from flask import Flask, Response, current_app, jsonify, render_template
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

import accounts
import assets
import billing
import db
import features
import metrics
import security
import smoke_access
import uploads
from config import Settings

log = logging.getLogger("csvboard")


def create_app(settings: Settings) -> Flask:
    """The application for these settings."""
    app = Flask(__name__, static_folder=None)
    app.config.from_mapping({name.upper(): value for name, value in asdict(settings).items()})
    app.config.update(
        SESSION_COOKIE_SAMESITE="Lax",
        REMEMBER_COOKIE_SAMESITE="Lax",
        REMEMBER_COOKIE_HTTPONLY=True,
        MAX_CONTENT_LENGTH=uploads.MOST_BYTES,
    )
    # One proxy stands in front, and ends TLS.
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)
    app.teardown_appcontext(db.close)
    app.register_error_handler(HTTPException, refused)
    metrics.count_answers(app)
    security.guard(app)
    for part in (accounts, billing):
        part.use(app)
    assets.serve(app)
    for part in (uploads, smoke_access):
        app.register_blueprint(part.pages)
    app.add_url_rule("/", "home", home)
    app.add_url_rule("/health", "health", health)
    features.use_all(app)
    return app


def home() -> str:
    """The first page."""
    return render_template("home.html")


def health() -> tuple[Response, int]:
    """Healthy as long as the database can be opened; before the first migration it is empty, and that is well."""
    try:
        with closing(db.connect(current_app.config["DATABASE_PATH"])) as connection:
            schema = db.schema_version(connection)
    except sqlite3.Error as error:
        log.error("the database cannot be opened: %s", error)
        return jsonify(status="unhealthy", reason="the database cannot be opened"), 503
    return jsonify(status="ok", version=current_app.config["VERSION"], schema=schema), 200


def refused(error: HTTPException) -> tuple[str, int] | Response:
    """A page that says what was wrong, in words."""
    if error.code is None or error.code < 400:
        return error.get_response()
    return render_template("error.html", error=error), error.code


def watch_errors(settings: Settings) -> None:
    """Tells Sentry of errors, where its SDK and an address are there; a bad address stops nobody's work."""
    if not settings.sentry_dsn:
        return
    try:
        import sentry_sdk

        # Errors only: sessions would be sent at each stop, and hold it up.
        sentry_sdk.init(
            dsn=settings.sentry_dsn,
            release=settings.version,
            send_default_pii=False,
            auto_session_tracking=False,
            shutdown_timeout=1,
        )
    except Exception as error:  # noqa: BLE001 - the SDK has its own kinds of error, and may be absent
        log.warning("errors are not told to Sentry: %s", type(error).__name__)


def init_db() -> None:
    """Brings the schema up to date; safe to repeat, and while an older version runs."""
    applied = db.migrate(app.config["DATABASE_PATH"])
    print(f"schema: applied {applied}" if applied else "schema: up to date")


logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
_settings = Settings.from_environ(os.environ)
watch_errors(_settings)
app = create_app(_settings)
