"""Static files under names that change with their content, so that caches may keep them for good."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, send_from_directory

FOLDER = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"

pages = Blueprint("assets", __name__)


@lru_cache
def named() -> dict[str, str]:
    """File names by fingerprinted name: `style.1a2b3c4d5e.css` is `style.css`."""
    return {fingerprinted(file): file.name for file in FOLDER.iterdir() if file.is_file()}


def fingerprinted(file: Path) -> str:
    """The name that stands for this content."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:10]
    return f"{file.stem}.{digest}{file.suffix}"


def asset(name: str) -> str:
    """The address of a static file, for templates."""
    return f"/static/{fingerprinted(FOLDER / name)}"


def serve(app: Flask) -> None:
    """Serves static files and names them in templates."""
    app.jinja_env.globals["asset"] = asset
    app.register_blueprint(pages)


@pages.get("/static/<name>")
def static(name: str) -> Response:
    """A static file: for good under its fingerprinted name, for a while under its plain one."""
    plain = named().get(name)
    if plain is None and name not in named().values():
        abort(404)
    response = send_from_directory(FOLDER, plain or name)
    response.headers["Cache-Control"] = FOREVER if plain else "public, max-age=300"
    return response
