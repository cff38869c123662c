"""Which hosts are this machine itself."""

import ipaddress


def is_loopback(host: str | None) -> bool:
    """Whether `host`, a name or an address, is loopback: localhost, a name below it, 127.0.0.0/8 or ::1."""
    if not host:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
