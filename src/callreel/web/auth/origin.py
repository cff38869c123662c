"""Checks of a request's origin: is its host a loopback name, does it come from our own pages. Pure.

They prevent two attacks. Cross-site request forgery, a foreign page that posts with the visitor's cookie, is visible
in `Sec-Fetch-Site` (Fetch Metadata, W3C) or `Origin` (RFC 6454); SameSite cookies are the second defence. DNS
rebinding, a foreign name that resolves to 127.0.0.1, is visible in the `Host` header.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from callreel.runtime.loopback import is_loopback

IPV6_CUSTOMER_BITS = 64
"""A customer of an IPv6 provider has a network of this prefix, and so 2**64 addresses to come from."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_loopback_name(host_header: str) -> bool:
    """Whether a `Host` header names this machine by loopback: localhost, a name below it, 127.0.0.0/8 or [::1]."""
    try:
        return is_loopback(urlsplit(f"//{host_header}").hostname)
    except ValueError:
        return False


def limited_address(client: tuple[str, int] | None) -> str:
    """What limits by address count a client by: its IPv4 address, its IPv6 network, or its name if it has no address."""
    if client is None:
        return ""
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return client[0][:100]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), IPV6_CUSTOMER_BITS), strict=False))


def is_own_request(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request is safe from forgery: by its method, or because no foreign page made it.

    `headers` are keyed in lower case. A client that sends neither header is not a browser, so it has no cookie that a
    foreign page could misuse.
    """
    if method in SAFE_METHODS:
        return True
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    except ValueError:
        return False


def local_path(target: str | None) -> str:
    """`target` if it is a path on this server, else `/`: where the sign-in page redirects to."""
    if not target or not target.startswith("/") or target.startswith("//"):
        return "/"
    if "\\" in target or any(ord(character) < 0x20 for character in target):
        return "/"
    return target
