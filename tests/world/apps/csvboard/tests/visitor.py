"""A visitor for tests: a browser without a network."""

import io
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

BASE = "https://app.example.com"
PASSWORD = "correct horse battery"


class Visitor:
    """A client with the links of its mails."""

    def __init__(self, app, path, email="ada@example.com"):
        self.app, self.path, self.email = app, path, email
        self.client = app.test_client()

    def get(self, path, **more):
        return self.client.get(path, base_url=BASE, **more)

    def post(self, path, data=None, **more):
        return self.client.post(path, data=data, base_url=BASE, **more)

    def rows(self, sql, *values):
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql, values).fetchall()

    def link(self, kind):
        found = self.rows("SELECT link FROM outbox WHERE recipient = ? AND kind = ? ORDER BY id DESC", self.email, kind)
        return urlsplit(found[0][0]).path

    def register(self):
        return self.post("/register", {"email": self.email, "password": PASSWORD})

    def login(self, password=PASSWORD, **more):
        return self.post("/login", {"email": self.email, "password": password} | more)

    def settled(self):
        """Registered, confirmed and logged in."""
        self.register()
        self.get(self.link("verify"))
        assert self.login().status_code == 303
        return self

    def upload(self, content, name="data.csv"):
        return self.post("/uploads", {"file": (io.BytesIO(content), name)}, content_type="multipart/form-data")
