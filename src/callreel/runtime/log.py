"""The log on standard error: text for people, or one JSON object per line. Secrets and phone numbers are masked.

A formatter on the handler masks them in every line, of our modules and of libraries.
"""

import json
import logging
import re
import sys
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

# E.164: a plus sign, then 8 to 15 digits (ITU-T E.164, section 6); %2B is the plus sign in an address.
_PHONE = re.compile(r"(\+|%2[Bb])(\d{4,11})(\d{4})(?!\d)")
_SHORTEST_SECRET = 6
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}


_REMEMBERED = 10_000
_legs: OrderedDict[str, str] = OrderedDict()


def add_leg_to_log_lines(call_id: str, leg_sid: str) -> None:
    """Add the parent leg to every later log line of this process that has the field `call_id`."""
    _legs[call_id] = leg_sid
    _legs.move_to_end(call_id)
    while len(_legs) > _REMEMBERED:
        _legs.popitem(last=False)


def mask_numbers(text: str) -> str:
    """`text` with every phone number reduced to its last two digits."""
    return _PHONE.sub(lambda m: m[1] + "*" * (len(m[2]) + 2) + m[3][2:], text)


def escape_unprintable(text: str) -> str:
    """`text` on one line, with what a terminal would obey (control characters, marks of direction) as escapes."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "replace").decode("ascii") for one in text
    )


class Masking(logging.Formatter):
    """Masks the output of another formatter, exceptions and extra fields included."""

    def __init__(self, inner: logging.Formatter, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._inner = inner
        # A secret of a few characters would blot out ordinary text.
        self._secrets = sorted((s for s in secrets if len(s) >= _SHORTEST_SECRET), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = mask_numbers(self._inner.format(record))
        for secret in self._secrets:
            line = line.replace(secret, "********")
        return line


def _extra(record: logging.LogRecord) -> dict[str, object]:
    extra = {k: v for k, v in record.__dict__.items() if k not in _STANDARD and not k.startswith("_")}
    leg_sid = _legs.get(str(extra.get("call_id")))
    if leg_sid is not None:
        extra.setdefault("leg_sid", leg_sid)
    return extra


class JsonLines(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message, then the extra fields, `call_id` and the like."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in _extra(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = json.dumps(line, ensure_ascii=False, default=str)
        return text if text.isprintable() else json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """`12:00:00.000 info callreel.web: message call_id=…`, local time."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        line = f"{time} {record.levelname.lower()} {record.name}: {escape_unprintable(record.getMessage() + extra)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(
    *, level: str = "info", style: str = "text", secrets: Sequence[str] = (), stream: TextIO | None = None
) -> None:
    """Send the log of this process to `stream` (standard error), in `style` text or json. Replaces earlier handlers.

    Uvicorn's loggers join the root one; start it with `log_config=None`.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(Masking(JsonLines() if style == "json" else TextLines(), secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries log whole requests, headers and statements at debug level.
    logging.getLogger("callreel").setLevel(level.upper())
    root.setLevel(max(logging.INFO, logging.getLogger("callreel").level))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Per-request lines of these libraries are of no use to an operator at this level.
    for name in ("alembic", "httpx2", "httpcore2", "twilio.http_client", "websockets"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
