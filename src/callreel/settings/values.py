"""Types and parsers that several sections of the settings share: lists, pairs and web addresses as text."""

import re
from typing import Annotated, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value or ()
    return tuple(re.split(r"[\s,]+", value.strip(" ,"))) if value.strip(" ,") else ()


def _phrases(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(phrase.strip() for phrase in value.split(",") if phrase.strip())


def split_pairs(value: object) -> object:
    """`name=value,name=value` as a dictionary; anything but text is returned unchanged. Raises ValueError."""
    if not isinstance(value, str):
        return value
    pairs = [pair.strip().partition("=") for pair in value.split(",") if pair.strip()]
    if not all(name and separator for name, separator, _ in pairs):
        raise ValueError("should be name=value pairs separated by commas")
    return {name: given for name, _, given in pairs}


Words: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
"""Words separated by spaces or commas."""

Phrases: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_phrases)]
"""Phrases separated by commas; a phrase may contain spaces."""

Options: TypeAlias = Annotated[dict[str, str], NoDecode, BeforeValidator(split_pairs)]
"""`name=value` pairs separated by commas."""


def web_address(value: str) -> SplitResult:
    """The parts of an http or https address without user name, query and fragment. Raises ValueError."""
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise ValueError("should be a web address such as https://example.com") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("should be a web address such as https://example.com")
    if url.query or url.fragment or url.username or "?" in value or "#" in value:
        raise ValueError("should be a web address without user name, query and fragment")
    return url


def _base_address(value: str) -> str:
    web_address(value)
    return value.rstrip("/")


BaseAddress: TypeAlias = Annotated[str, AfterValidator(_base_address)]
"""A web address without a slash at its end."""
