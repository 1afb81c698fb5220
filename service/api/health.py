"""Alive, ready, measured. Open to everyone on purpose: they name no caller.

Of models they name the digest of one that cannot be loaded, and nothing else.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from ledger.errors import LedgerError
from service.api.access import assembly, internal, public
from service.api.answers import StateAnswer
from service.logs import STARTED, method_name

if TYPE_CHECKING:
    from flask import Flask

api = APIBlueprint(
    "health", __name__, abp_tags=[Tag(name="health", description="For the machines that run us.")]
)
# 1 ms to 10 s: a commit is an fsync, and an fsync on a busy disk is not a constant.
METRICS = "assay.metrics"
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


@api.get("/livez", summary="The process answers", responses={200: StateAnswer})
@public
def live() -> Response:
    """200 as long as the process can answer at all."""
    return jsonify({"status": "alive"})


@api.get(
    "/readyz",
    summary="Models are loaded, the ledger can be read and appended to",
    responses={200: StateAnswer},
)
@public
def ready() -> Response:
    """200 once models are loaded and the log agrees with its anchor; 503 otherwise.

    A model that cannot be loaded is named: it answers nobody, and the others do.
    """
    here = assembly()
    here.ledger.check_anchor()
    unavailable = sorted(here.inventory.unavailable())
    found = {"status": "ready", "tree_size": here.ledger.size}
    return jsonify({**found, "models_unavailable": unavailable} if unavailable else found)


class Metrics:
    """Prometheus metrics of one application; its own registry, so tests can hold several."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "assay_http_requests_total",
            "Requests by route and status",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "assay_http_request_seconds",
            "Time to answer, commit included",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._counted: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.size = Gauge("assay_ledger_tree_size", "Entries in the log", registry=self.registry)

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request."""
        which = (route, method, status)
        if which not in self._counted:
            requests = self.requests.labels(route, method, str(status))
            self._counted[which] = requests, self.seconds.labels(route)
        requests, histogram = self._counted[which]
        requests.inc()
        histogram.observe(seconds)


def install(app: Flask, metrics: Metrics) -> None:
    """Count every request of `app` and serve /metrics. A page's own reads are part of the page."""
    app.extensions[METRICS] = metrics

    @app.after_request
    def count(response: Response) -> Response:
        if internal():
            return response
        route = request.url_rule.rule if request.url_rule else "unknown"
        seconds = time.perf_counter() - request.environ[STARTED]
        metrics.count(route, method_name(), response.status_code, seconds)
        return response

    @public
    def exposition() -> Response:
        # Counters matter most when the log cannot be read; the gauge then stands where it was.
        with contextlib.suppress(LedgerError, SQLAlchemyError):
            metrics.size.set(assembly().ledger.size)
        return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)

    app.add_url_rule("/metrics", "metrics", exposition)
