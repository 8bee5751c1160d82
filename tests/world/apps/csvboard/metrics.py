"""Counts of answers for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/"""

from __future__ import annotations

import threading
import time
from collections import Counter

from flask import Blueprint, Flask, Response, current_app, g

pages = Blueprint("metrics", __name__)


class Counts:
    """Answers by status and the seconds they took, since the process began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_status: Counter[int] = Counter()
        self._seconds = 0.0

    def add(self, status: int, seconds: float) -> None:
        """Counts one answer."""
        with self._lock:
            self._by_status[status] += 1
            self._seconds += seconds

    def text(self, version: str) -> str:
        """All counts, in Prometheus' text format."""
        with self._lock:
            by_status, seconds = sorted(self._by_status.items()), self._seconds
        lines = ["# TYPE http_requests_total counter"]
        lines += [f'http_requests_total{{status="{status}"}} {count}' for status, count in by_status]
        lines += ["# TYPE http_request_duration_seconds summary", f"http_request_duration_seconds_sum {seconds:.6f}"]
        lines += [f"http_request_duration_seconds_count {sum(count for _, count in by_status)}"]
        lines += ["# TYPE csvboard_build_info gauge", f'csvboard_build_info{{version="{version}"}} 1']
        return "\n".join(lines) + "\n"


def count_answers(app: Flask) -> None:
    """Counts every answer of the application."""
    counts = app.extensions["counts"] = Counts()

    def begin() -> None:
        g.begun = time.perf_counter()

    def end(response: Response) -> Response:
        begun = g.get("begun")
        counts.add(response.status_code, time.perf_counter() - begun if begun else 0.0)
        return response

    app.before_request(begin)
    app.after_request(end)
    app.register_blueprint(pages)


@pages.get("/metrics")
def metrics() -> Response:
    """The counts."""
    text = current_app.extensions["counts"].text(current_app.config["VERSION"])
    return Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")
