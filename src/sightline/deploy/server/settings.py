"""Define the settings of a server: its limits and resources, with their units."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

from sightline.data import images
from sightline.errors import ParameterError, UnknownNameError

MIB = 2**20

POSTED = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
"""The formats that browsers and cameras send."""

_LOWER = [name.lower() for name in images.FORMATS]


@dataclass(frozen=True)
class Settings:
    """The limits and resources of a server.

    Parameters
    ----------
    max_batch : int
        Images that go through a model at once.
    max_wait_ms : float
        How long, in milliseconds, an image may wait for others to join its batch. On an idle
        server none waits.
    queue : int
        Images that a model may be decoding, holding in its queue or computing; more are refused
        with 429.
    timeout_s : float
        Seconds from a request's arrival to its answer; later the answer is 408 where the body is
        still missing, else 504.
    max_body_mib : float
        Size of a request's body, in MiB.
    max_buffer_mib : float
        Size of all requests in memory at once, in MiB.
    max_images : int
        Images of one request.
    max_megapixels : float
        Size of an image, in million pixels; checked before it is decoded.
    allow_format : tuple of str
        Formats of images that are read besides JPEG, PNG, WebP, BMP and GIF, such as tiff; each is
        decoded in a process of its own.
    max_connections : int
        Connections that are open at once.
    decoders : int
        Threads that decode images, and processes that decode those which may take long; 0: one a
        core.
    threads : int
        Threads that one answer of a model is computed by; 0: one a core.
    keys : path, optional
        File of the API keys that are let in, hashed; see --new-key. Without it everyone is.
    rate : float
        Requests a second that one key, or one address without a key, may make; 0: any number.
    burst : int
        Requests that may come at once before `rate` counts.
    allow_origin : tuple of str
        Web sites, as https://example.org, whose pages may ask; * is any.
    trust_proxy : tuple of str
        Addresses, as 10.0.0.7, or networks, as 10.0.0.0/8, of proxies whose header X-Forwarded-For
        says who the client is; of all others it is ignored.
    drain_s : float
        Seconds that a server which was told to stop goes on to accept, while /readyz says 503, so
        that a load balancer can turn away.
    """

    max_batch: int = 8
    max_wait_ms: float = 2.0
    queue: int = 256
    timeout_s: float = 30.0
    max_body_mib: float = 16.0
    max_buffer_mib: float = 256.0
    max_images: int = 32
    max_megapixels: float = 25.0
    allow_format: tuple[str, ...] = ()
    max_connections: int = 1024
    decoders: int = 0
    threads: int = 0
    keys: Path | None = None
    rate: float = 0.0
    burst: int = 20
    allow_origin: tuple[str, ...] = ()
    trust_proxy: tuple[str, ...] = ()
    drain_s: float = 0.0

    def __post_init__(self) -> None:
        least = {"max_batch": 1, "queue": 1, "max_images": 1, "max_connections": 1, "burst": 1}
        above = ("timeout_s", "max_body_mib", "max_buffer_mib", "max_megapixels")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int | float):
                continue
            if value < least.get(field.name, 0):
                raise ParameterError(
                    f"{field.name}={value} must be at least {least.get(field.name, 0)}"
                )
            if field.name in above and value == 0:
                raise ParameterError(f"{field.name}={value} must be above 0")
        if self.max_images > self.queue:
            raise ParameterError(f"max_images={self.max_images} must be at most queue={self.queue}")
        if self.max_body > self.max_buffer:
            raise ParameterError(
                f"max_body_mib={self.max_body_mib} must be at most "
                f"max_buffer_mib={self.max_buffer_mib}"
            )
        if self.max_pixels > images.MAX_PIXELS:
            raise ParameterError(
                f"max_megapixels={self.max_megapixels} must be at most "
                f"{images.MAX_PIXELS / 1e6:.0f}"
            )

        for name in self.allow_format:
            if name.upper() not in images.FORMATS:
                raise ParameterError(str(UnknownNameError("format", name, _LOWER)))

    @property
    def formats(self) -> tuple[str, ...]:
        """Return the formats of images that are read, by Pillow's names."""
        return (*POSTED, *(name.upper() for name in self.allow_format))

    @property
    def max_body(self) -> int:
        """Return the largest size of a request's body, in bytes."""
        return int(self.max_body_mib * MIB)

    @property
    def max_buffer(self) -> int:
        """Return the largest size of all bodies in memory, in bytes."""
        return int(self.max_buffer_mib * MIB)

    @property
    def max_pixels(self) -> int:
        """Return the largest size of an image, in pixels."""
        return int(self.max_megapixels * 1e6)

    @property
    def decoding(self) -> int:
        """Return the number of threads that decode images."""
        return self.decoders or len(os.sched_getaffinity(0))
