"""Parts that a version may have or not: each module here has `use(app)`, which adds it to the application."""

from __future__ import annotations

import importlib
import pkgutil

from flask import Flask


def use_all(app: Flask) -> None:
    """Adds every part there is."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        importlib.import_module(f"{__name__}.{found.name}").use(app)
