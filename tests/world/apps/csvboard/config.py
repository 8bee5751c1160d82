"""What the environment says. Nothing else in the application reads it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent
LEAST_KEY = 16


class ConfigurationError(RuntimeError):
    """The environment is not fit to run in; the message names the variable and never its value."""


def _flag(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() in {"1", "true", "yes", "on"}


@dataclass(frozen=True)
class Settings:
    """The settings of one application object."""

    secret_key: str = field(repr=False)
    database_path: str
    version: str
    public_url: str = ""
    session_cookie_secure: bool = False
    remember_cookie_secure: bool = False
    enable_hsts: bool = False
    enable_test_endpoints: bool = False
    sentry_dsn: str = field(default="", repr=False)
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Reads the environment; anything but APP_ENV=development is production, so that forgetting it is safe."""
        development = environ.get("APP_ENV", "production") == "development"
        names = ("STRIPE_WEBHOOK_SECRET", "STRIPE_WEBHOOK_SECRET_PREVIOUS")
        return cls(
            secret_key=_secret_key(environ, development),
            database_path=environ.get("DATABASE_PATH", "csvboard.sqlite3"),
            version=(ROOT / "VERSION").read_text(encoding="utf-8").strip(),
            public_url=environ.get("PUBLIC_URL", "").rstrip("/"),
            session_cookie_secure=_flag(environ, "SESSION_COOKIE_SECURE"),
            remember_cookie_secure=_flag(environ, "REMEMBER_COOKIE_SECURE"),
            enable_hsts=_flag(environ, "ENABLE_HSTS"),
            enable_test_endpoints=_flag(environ, "ENABLE_TEST_ENDPOINTS"),
            sentry_dsn=environ.get("SENTRY_DSN", ""),
            webhook_secrets=tuple(environ[name] for name in names if environ.get(name)),
        )


def _secret_key(environ: Mapping[str, str], development: bool) -> str:
    key = environ.get("SECRET_KEY", "")
    if len(key) >= LEAST_KEY:
        return key
    if development:
        return key or secrets.token_hex(32)
    raise ConfigurationError(f"SECRET_KEY must be set to at least {LEAST_KEY} random characters in production")
