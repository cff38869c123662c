"""HTTP requests to addresses that come from outside: a redirect's, a person's. They must not lead into our own network.

A name is resolved once; every address of it must be public, and the connection goes to the address that was checked, so
that a name cannot be public for the check and private for the connection (DNS rebinding). Requests to addresses from the
settings need none of this.
"""

import functools
import ipaddress
import socket
import ssl
from collections.abc import Callable, Collection, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final
from urllib.request import getproxies, proxy_bypass

import httpx2

from callreel.domain.errors import CallreelError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]

_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses that stand for an IPv4 address behind a translator (RFC 6052)."""


class AddressRefusedError(CallreelError):
    """A request to an address from outside that is not made."""


@functools.cache
def tls_context() -> ssl.SSLContext:
    """What all HTTP clients of a process use: reading the certificates for each takes 25 ms."""
    return httpx2.create_ssl_context()


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


class OutsideTransport(httpx2.BaseTransport):
    """A client's transport for addresses from outside; connects to public addresses by https only.

    The hosts of `inside`, each with or without a port, are connected to unchecked. A proxy of the environment gets the
    other requests that it is named for, and decides itself what can be reached; hosts of NO_PROXY are checked. Those of
    `own` are left unchecked too where no proxy gets them, and use `own_transport`, which goes before a proxy, if there is one.

    Raises AddressRefusedError before anything is sent.
    """

    def __init__(
        self,
        resolver: Resolve = resolve,
        *,
        inside: Collection[str] = (),
        own: Collection[str] = (),
        own_transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._resolver = resolver
        self._inside = inside
        self._own = own
        self._own_transport = own_transport
        self._direct = httpx2.HTTPTransport(verify=tls_context())
        found = getproxies()
        self._proxies = {
            scheme: httpx2.HTTPTransport(verify=tls_context(), proxy=url if "://" in url else f"http://{url}")
            for scheme in ("http", "https", "all")
            if (url := found.get(scheme))
        }

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        own = _is_inside(url, self._own)
        if own and self._own_transport is not None:
            return self._own_transport.handle_request(request)
        if _is_inside(url, self._inside):
            return self._direct.handle_request(request)
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if proxy is not None and not proxy_bypass(url.host):
            return proxy.handle_request(request)
        return self._direct.handle_request(request if own else self._pinned(request))

    def close(self) -> None:
        for transport in (self._direct, self._own_transport, *self._proxies.values()):
            if transport is not None:
                transport.close()

    def _pinned(self, request: httpx2.Request) -> httpx2.Request:
        address = public_address(request.url, self._resolver)
        return httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,  # with the name as `Host`
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )


def redirects_guarded(own_url: str, own: httpx2.BaseTransport | None = None) -> httpx2.BaseTransport | None:
    """A client's transport: `own_url` from the settings gets the transport `own`, redirects to other hosts the guarded one.

    None for an `own_url` without https, which is a carrier on this machine.
    """
    if not own_url.startswith("https://"):
        return None
    return OutsideTransport(own=[_host_and_port(httpx2.URL(own_url))], own_transport=own)


def guarded(own_url: str) -> httpx2.BaseTransport:
    """A client's transport for addresses that a server of the settings names: on its own host they may be private and without
    https, on others not."""
    return OutsideTransport(own=[_host_and_port(httpx2.URL(own_url))])


def check_outside(url: str, inside: Collection[str] = ()) -> None:
    """Check an address that a person wrote, without resolving its host name. Raises AddressRefusedError.

    `inside` are the hosts, each with or without a port, that may be in our own network and without https.
    """
    try:
        found = httpx2.URL(url)
    except (httpx2.InvalidURL, UnicodeError):
        raise AddressRefusedError("this is not a valid URL") from None
    if not found.host:
        raise AddressRefusedError("the address has no host")
    if found.port is not None and not 0 < found.port < 65_536:
        raise AddressRefusedError("the port is not between 1 and 65535")
    if _is_inside(found, inside) and found.scheme in ("http", "https") and not found.userinfo:
        return
    public_address(found, lambda host, _: [host] if _is_address(host) else ["1.1.1.1"])


def outside_client(timeout_s: float, inside: Collection[str] = ()) -> httpx2.Client:
    """A client for addresses that people wrote: public ones by https, and the hosts of `inside`. It follows no redirects and
    keeps no cookies.

    Where the environment names a proxy for an address, the proxy decides what can be reached.
    """
    return httpx2.Client(
        transport=OutsideTransport(inside=inside),
        timeout=timeout_s,
        follow_redirects=False,
        cookies=no_cookies(),
    )


def no_cookies() -> CookieJar:
    """Cookies of a client that keeps none."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def _is_inside(url: httpx2.URL, inside: Collection[str]) -> bool:
    return url.host in inside or _host_and_port(url) in inside


def _host_and_port(url: httpx2.URL) -> str:
    """With the port even if it is the scheme's own, which URLs leave out."""
    return f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
