"""Count requests and durations as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

__all__ = ["CONTENT_TYPE_LATEST", "Measures"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Measures:
    """Counters and histograms of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "sightline_requests", "Requests answered.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "sightline_request_seconds", "From a request's arrival to its answer.", ("route",),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.images = Counter(
            "sightline_images", "Images, answered or not.", ("model", "outcome"), registry=registry
        )
        self.batches = Histogram(
            "sightline_batch_size", "Images that went through a model together.", ("model",),
            buckets=SIZES, registry=registry,
        )  # fmt: skip
        self.depth = Gauge(
            "sightline_queue_depth", "Images that wait for a model.", ("model",), registry=registry
        )
        self.inside = Gauge(
            "sightline_images_inside", "Images being decoded, waiting or in work.", ("model",),
            registry=registry,
        )  # fmt: skip
        self.rejected = Counter(
            "sightline_rejected", "Refusals by the limit that was met.", ("limit",),
            registry=registry,
        )  # fmt: skip
        self.loads = Counter(
            "sightline_loads", "Models loaded, or not.", ("model", "outcome"), registry=registry
        )
        self._route = lru_cache(None)(self.seconds.labels)
        self._request = lru_cache(None)(self.requests.labels)
        self._images = lru_cache(None)(self.images.labels)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one request and its duration."""
        self._request(route, str(status)).inc()
        self._route(route).observe(seconds)

    def count(self, model: str, outcome: str, n: int) -> None:
        """Count images of one outcome."""
        if n:
            self._images(model, outcome).inc(n)

    def watch(self, model: str, depth: Callable[[], int], inside: Callable[[], int]) -> None:
        """Register a model's queue as gauges that are read whenever the metrics are asked for."""
        self.depth.labels(model).set_function(depth)
        self.inside.labels(model).set_function(inside)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
