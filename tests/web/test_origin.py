"""Loopback names, same-origin requests, and allowed redirect targets."""

import pytest

from callreel.web.auth.origin import is_loopback_name, is_own_request, local_path

LOOPBACK = ["localhost", "localhost:8000", "127.0.0.1:8000", "127.8.9.1", "[::1]:80", "a.localhost"]
OTHER = ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[bad", "evil@x"]


@pytest.mark.parametrize("host", LOOPBACK + OTHER)
def test_loopback_names_are_recognized(host: str) -> None:
    assert is_loopback_name(host) is (host in LOOPBACK)


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://a.example", "host": "a.example"}, False),
        ({"origin": "https://a.example:8443", "host": "A.example:8443"}, True),
        ({"origin": "https://a.example", "host": "b.example"}, False),
        ({"origin": "null", "host": "b.example"}, False),
        ({"origin": "https://a.example"}, False),
    ],
)
def test_only_same_origin_posts_are_own_requests(headers: dict[str, str], own: bool) -> None:
    assert is_own_request("POST", headers) is own
    assert is_own_request("GET", headers)


@pytest.mark.parametrize(
    "target", [None, "", "https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil", "x"]
)
def test_foreign_targets_become_the_start_page(target: str | None) -> None:
    assert local_path(target) == "/"


def test_own_paths_are_kept() -> None:
    assert local_path("/calls/0123?before=2#t=1") == "/calls/0123?before=2#t=1"
