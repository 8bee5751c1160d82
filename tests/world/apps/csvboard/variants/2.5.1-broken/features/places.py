"""Needs a variable that nobody set in production."""

from __future__ import annotations

import os

from flask import Flask


def use(app: Flask) -> None:
    """Takes the key from the environment."""
    app.config["PLACES_KEY"] = os.environ["PLACES_KEY"]
