"""What a command does first: read the settings, start the log, see that an address is free."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from callreel.domain.errors import SettingsError

if TYPE_CHECKING:
    from callreel.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def begin(overrides: Mapping[str, object] | None = None, *, quiet: bool = False) -> Settings:
    """The checked settings, with the log begun. `quiet` keeps all but warnings out of a command's own output.

    Raises SettingsError.
    """
    from callreel.runtime import log
    from callreel.settings import check, load_settings

    settings = load_settings(overrides)
    check(settings)
    log.configure(
        level="warning" if quiet and settings.log_level in ("debug", "info") else settings.log_level,
        style=settings.log_format,
        secrets=settings.secrets,
    )
    return settings


def require_free(host: str, port: int) -> None:
    """Raise SettingsError when `port` of `host` cannot be listened on, in a line that says what to do."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise SettingsError(f"{host} is no address of this machine; try --host 127.0.0.1") from None
    with socket.socket(found[0], socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(found[4])
        except PermissionError:
            raise SettingsError(f"port {port} needs rights that this user lacks; try --port 8000") from None
        except OSError as error:
            reason = "is in use" if error.errno == 98 else f"cannot be listened on ({error.strerror})"
            raise SettingsError(
                f"port {port} of {host} {reason}; stop what listens there or choose another with --port {port + 1}"
            ) from None
