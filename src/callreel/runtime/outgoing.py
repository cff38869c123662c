"""HTTP requests to addresses that come from outside: a redirect's, a person's. They must not lead into our own network.

A name is resolved once; every address of it must be public, and the connection goes to the address that was checked, so
that a name cannot be public for the check and private for the connection (DNS rebinding). Requests to addresses from the
settings need none of this.
"""

import ipaddress
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Final
from urllib.request import getproxies

import httpx2

from callreel.domain.errors import CallreelError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]

_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses that stand for an IPv4 address behind a translator (RFC 6052)."""


class AddressRefusedError(CallreelError):
    """A request to an address from outside that is not made."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the Internet's, and no tunnel or translation to one that is not."""
    found: IPAddress = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.sixtofour or found.teredo:
            return False
        if found.ipv4_mapped or found in _TRANSLATED:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.is_global and not found.is_multicast


def resolve(host: str, port: int) -> Sequence[str]:
    """All IP addresses of a host, in the order in which to try them. Raises OSError."""
    return list(
        dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    )


def public_address(url: httpx2.URL, resolver: Resolve = resolve) -> str:
    """The IP address to connect to for `url`. Raises AddressRefusedError, with a reason without the address."""
    if url.scheme != "https":
        raise AddressRefusedError("an address from outside must begin with https://")
    if url.userinfo:
        raise AddressRefusedError("an address from outside must not contain a user name")
    try:
        found = resolver(url.host, url.port or 443)
    except (OSError, UnicodeError):
        raise AddressRefusedError("the host of an address from outside is unknown") from None
    if not found or not all(map(is_public, found)):
        raise AddressRefusedError("an address from outside leads into a private network")
    return found[0]


class OutsideTransport(httpx2.HTTPTransport):
    """A client's transport for addresses from outside; connects to public addresses by https only.

    Raises AddressRefusedError before anything is sent.
    """

    def __init__(self, resolver: Resolve = resolve) -> None:
        super().__init__()
        self._resolver = resolver

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        address = public_address(request.url, self._resolver)
        pinned = httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,  # with the name as `Host`
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )
        return super().handle_request(pinned)


def redirects_guarded(
    own_url: str, own: httpx2.BaseTransport | None = None
) -> dict[str, httpx2.BaseTransport]:
    """A client's `mounts`: `own_url` from the settings gets the transport `own`, redirects to other hosts the guarded one.

    None where a proxy of the environment decides what can be reached, and for an `own_url` without https, which is a carrier
    on this machine.
    """
    if not own_url.startswith("https://") or (own is None and getproxies()):
        return {}
    return {"all://": OutsideTransport(), own_url: own or httpx2.HTTPTransport()}


def guarded(own_url: str) -> dict[str, httpx2.BaseTransport]:
    """A client's `mounts` for addresses that a server of the settings names: on its own host they may be private and without
    https, on others not. None where a proxy of the environment decides what can be reached."""
    url = httpx2.URL(own_url)
    own = f"{url.scheme}://{url.netloc.decode()}"
    return {} if getproxies() else {"all://": OutsideTransport(), own: httpx2.HTTPTransport()}


def check_outside(url: str, inside: Collection[str] = ()) -> None:
    """Check an address that a person wrote, without asking for its host. Raises AddressRefusedError.

    `inside` are the hosts, each with or without a port, that may be in our own network and without https.
    """
    try:
        found = httpx2.URL(url)
    except (httpx2.InvalidURL, UnicodeError):
        raise AddressRefusedError("this is not an address") from None
    if not found.host:
        raise AddressRefusedError("the address has no host")
    if found.port is not None and not 0 < found.port < 65_536:
        raise AddressRefusedError("this is not an address")
    if _is_inside(found, inside) and found.scheme in ("http", "https") and not found.userinfo:
        return
    public_address(found, lambda host, _: [host] if _is_address(host) else ["1.1.1.1"])


def outside_client(timeout_s: float, inside: Collection[str] = ()) -> httpx2.Client:
    """A client for addresses that people wrote: public ones by https, and the hosts of `inside`. It follows no redirects.

    Where the environment names a proxy, the proxy decides what can be reached.
    """
    own = {f"all://{host}": httpx2.HTTPTransport() for host in inside}
    transport = None if getproxies() else OutsideTransport()
    return httpx2.Client(transport=transport, mounts=own, timeout=timeout_s, follow_redirects=False)


def _is_inside(url: httpx2.URL, inside: Collection[str]) -> bool:
    port = url.port or (443 if url.scheme == "https" else 80)
    return url.host in inside or f"{url.host}:{port}" in inside


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
