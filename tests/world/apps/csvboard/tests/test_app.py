"""Health, metrics, headers, files, the smoke test's door, configuration."""

import time

import pytest

import smoke_access
from config import ConfigurationError, Settings
from tests.visitor import Visitor


def test_health_needs_a_database_but_no_table(make, environ, tmp_path):
    empty = Visitor(make(), environ["DATABASE_PATH"]).get("/health")
    assert (empty.status_code, empty.json["status"], empty.json["schema"]) == (200, "ok", 0)
    nowhere = make(DATABASE_PATH=str(tmp_path / "absent" / "app.sqlite3"))
    assert nowhere.test_client().get("/health").status_code == 503
    (tmp_path / "other").write_bytes(b"not a database, and long enough to be read as one" * 20)
    assert make(DATABASE_PATH=str(tmp_path / "other")).test_client().get("/health").status_code == 503


def test_answers_are_counted_by_status(visitor):
    visitor.get("/health")
    visitor.get("/absent")
    visitor.get("/absent")
    text = visitor.get("/metrics").text
    for line in ('http_requests_total{status="200"} 1', 'http_requests_total{status="404"} 2', "duration_seconds_count 3"):
        assert line in text


def test_an_error_is_counted_as_one(make, environ):
    broken = make()
    broken.add_url_rule("/broken", "broken", lambda: 1 / 0)
    assert broken.test_client().get("/broken").status_code == 500
    assert 'http_requests_total{status="500"} 1' in broken.test_client().get("/metrics").text


def test_browsers_are_told_to_be_careful(visitor, make, path):
    headers = visitor.get("/").headers
    assert headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert headers["Cache-Control"] == "no-cache" and "default-src 'self'" in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in Visitor(make(ENABLE_HSTS="0"), path).get("/").headers


def test_forms_of_other_sites_are_refused(visitor):
    visitor.settled()
    for origin, status in [("https://evil.example", 403), ("null", 403), ("https://app.example.com", 303)]:
        assert visitor.post("/logout", headers={"Origin": origin}).status_code == status


def test_files_are_named_by_their_content_and_kept_for_good(visitor):
    page = visitor.get("/").text
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    assert "immutable" in visitor.get(address).headers["Cache-Control"]
    assert "immutable" not in visitor.get("/static/style.css").headers["Cache-Control"]
    for absent in ("/static/style.0000000000.css", "/static/../app.py", "/static/%2e%2e%2fapp.py"):
        assert visitor.get(absent).status_code == 404


def proof(address, key="a key that is only for tests", age=0):
    return {smoke_access.HEADER: smoke_access.proof(key, address, int(time.time()) - age)}


def test_the_smoke_test_reads_its_own_mails_only(make, path):
    address = "smoke-1@smoke.invalid"
    visitor = Visitor(make(), path, address)
    visitor.register()
    Visitor(visitor.app, path, "ada@example.com").register()

    def ask(of, headers):
        return visitor.get("/smoke/mail", query_string={"address": of}, headers=headers)

    assert ask(address, proof(address)).json["mail"]["link"].endswith(visitor.link("verify"))
    refused = [proof(address, key="another key of some length"), proof(address, age=301), proof("x@smoke.invalid"), {}]
    refused += [{smoke_access.HEADER: value} for value in ("", ".", "1.2", "²." + "0" * 64)]
    assert [ask(address, headers).status_code for headers in refused] == [404] * len(refused)
    assert ask("ada@example.com", proof("ada@example.com")).status_code == 404


@pytest.mark.parametrize("key", [None, "", "short"])
def test_production_needs_a_key(environ, key):
    environ = {name: value for name, value in (environ | {"SECRET_KEY": key}).items() if value is not None}
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        Settings.from_environ(environ)
    assert len(Settings.from_environ(environ | {"APP_ENV": "development"}).secret_key) >= 5


def test_settings_do_not_show_secrets(environ):
    shown = repr(Settings.from_environ(environ | {"SENTRY_DSN": "https://key@sentry.example/1"}))
    assert "only for tests" not in shown and "whsec" not in shown and "key@" not in shown
