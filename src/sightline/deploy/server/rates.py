"""Limit how often one client may ask, by a token bucket for each."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict

from sightline.deploy.server.problems import Problem

CLIENTS = 10_000
"""How many are remembered; the one that was quiet longest is forgotten first."""


class Rates:
    """Token buckets by client.

    Parameters
    ----------
    rate : float
        Tokens a second.
    burst : int
        Tokens that a bucket holds.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now: float) -> None:
        """Take a token from a client's bucket.

        Parameters
        ----------
        client : str
        now : float
            Seconds, of a clock that only goes forward.

        Raises
        ------
        Problem
            When there is none; it says when there will be.
        """
        tokens, since = self._buckets.pop(client, (float(self.burst), now))
        tokens = min(self.burst, tokens + (now - since) * self.rate)
        self._buckets[client] = (max(tokens - 1, 0) if tokens >= 1 else tokens, now)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        if tokens < 1:
            wait = math.ceil((1 - tokens) / self.rate)
            raise Problem(
                "too-many-requests",
                f"at most {self.rate:g} requests a second, {self.burst} at once; wait {wait} s",
                limit="rate",
                headers={"Retry-After": str(wait)},
            )


def network(address: str) -> str:
    """Return the network of an address: itself, or of IPv6 the /64 that one customer has."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
