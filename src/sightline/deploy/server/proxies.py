"""Tell who a client is where proxies stand between: only those that are named are believed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from starlette.types import Scope

from sightline.errors import ParameterError

HEADER = b"x-forwarded-for"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies:
    """The proxies whose header X-Forwarded-For is believed.

    Parameters
    ----------
    networks : sequence of str
        Addresses, as 10.0.0.7, and networks, as 10.0.0.0/8.

    Raises
    ------
    ParameterError
        When one is neither.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self.networks = [_network(text) for text in networks]

    def client(self, scope: Scope) -> str:
        """Return the address of a request's client; empty where the transport has none.

        Each proxy appends who asked it. So from the end on, the first address that is no trusted
        proxy's is the client's; what stands before it, anybody may have written.
        """
        client: str = scope["client"][0] if scope.get("client") else ""
        if not self.networks or not self._trusted(_address(client)):
            return client
        said = b",".join(value for name, value in scope["headers"] if name == HEADER)
        for text in reversed(said.decode("latin-1").split(",")):
            address = _address(text)
            if address is None:
                break
            client = str(address)
            if not self._trusted(address):
                break
        return client

    def _trusted(self, address: Address | None) -> bool:
        return address is not None and _within(address, self.networks)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ParameterError(
            f"trust_proxy={text!r} is no address, as 10.0.0.7, and no network, as 10.0.0.0/8"
        ) from None


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _address(text: str) -> Address | None:
    """Return an address, which may have a port; None where there is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
