"""An application of its own for each test. What the environment says of the real one is replaced before it is read:
these tests run in the release too, with production's environment, and must touch nothing of production's."""

import functools
import os
import tempfile

import pytest

os.environ |= {
    "SECRET_KEY": "a key that is only for tests",
    "DATABASE_PATH": os.path.join(tempfile.mkdtemp(prefix="csvboard-"), "unused.sqlite3"),
    "SENTRY_DSN": "",
}

import accounts  # noqa: E402
import db  # noqa: E402
from app import create_app  # noqa: E402
from config import Settings  # noqa: E402
from tests.visitor import Visitor  # noqa: E402

SIGNING, OLD_SIGNING = "whsec_current", "whsec_previous"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch):
    """Hashing a password is slow on purpose."""
    quick = functools.partial(accounts.generate_password_hash, method="pbkdf2:sha256:1")
    monkeypatch.setattr(accounts, "generate_password_hash", quick)


@pytest.fixture
def environ(tmp_path):
    """What an application in production is given."""
    return {
        "SECRET_KEY": "a key that is only for tests",
        "DATABASE_PATH": str(tmp_path / "app.sqlite3"),
        "STRIPE_WEBHOOK_SECRET": SIGNING,
        "STRIPE_WEBHOOK_SECRET_PREVIOUS": OLD_SIGNING,
        "SESSION_COOKIE_SECURE": "1",
        "REMEMBER_COOKIE_SECURE": "1",
        "ENABLE_HSTS": "1",
        "ENABLE_TEST_ENDPOINTS": "1",
    }


@pytest.fixture
def make(environ):
    """Makes applications that share a database."""

    def make(**changes):
        return create_app(Settings.from_environ(environ | changes))

    return make


@pytest.fixture
def path(environ):
    """A database with the whole schema."""
    db.migrate(environ["DATABASE_PATH"])
    return environ["DATABASE_PATH"]


@pytest.fixture
def visitor(make, path):
    """Somebody without an account."""
    return Visitor(make(), path)
