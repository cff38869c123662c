"""Where a request to an address from outside may go, and where it connects. No request leaves this machine."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import httpx2
import pytest

from callreel.runtime.outgoing import (
    AddressRefusedError,
    OutsideTransport,
    guarded,
    is_public,
    outside_client,
    public_address,
    redirects_guarded,
)

HTTPS, USER, UNKNOWN, PRIVATE = "https://", "user name", "unknown", "private network"
PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True), ("2606:2800:220:1::1", True), ("64:ff9b::5db8:d822", True),
        ("127.0.0.1", False), ("10.0.0.1", False), ("172.16.9.9", False), ("192.168.1.1", False), ("0.0.0.0", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False),
        ("::", False), ("::1", False), ("fe80::1%eth0", False), ("fc00::1", False), ("ff0e::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:10.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
    ],
)  # fmt: skip
def test_private_addresses_are_recognized(address: str, public: bool) -> None:
    assert is_public(address) is public


NAMES = {
    "media.example": [PUBLIC],
    "both.example": [PUBLIC, "10.0.0.1"],
    "inside.example": ["192.168.1.1"],
    "none.example": [],
}


def lookup(host: str, port: int) -> Sequence[str]:
    """`NAMES`, and the forms of IP addresses that the system's resolver accepts."""
    odd = {
        "2130706433": "127.0.0.1",
        "127.1": "127.0.0.1",
        "0x7f000001": "127.0.0.1",
        "localhost": "127.0.0.1",
    }
    if host in NAMES:
        return NAMES[host]
    if host in odd or host[0].isdigit() or ":" in host:
        return [odd.get(host, host)]
    raise OSError("name or service not known")


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://media.example/a.wav", PUBLIC),
        ("https://media.example:8443/a.wav", PUBLIC),
        (f"https://{PUBLIC}/", PUBLIC),
        ("http://media.example/", HTTPS),
        ("ftp://media.example/", HTTPS),
        ("file:///etc/passwd", HTTPS),
        ("https://user:password@media.example/", USER),
        ("https://api.twilio.com@inside.example/", USER),
        ("https://other.example/", UNKNOWN),
        ("https://both.example/", PRIVATE),
        ("https://inside.example/", PRIVATE),
        ("https://none.example/", PRIVATE),
        ("https://localhost/", PRIVATE),
        ("https://127.0.0.1/", PRIVATE),
        ("https://127.1/", PRIVATE),
        ("https://2130706433/", PRIVATE),
        ("https://0x7f000001/", PRIVATE),
        ("https://[::1]/", PRIVATE),
        ("https://[::ffff:127.0.0.1]/", PRIVATE),
        ("https://169.254.169.254/latest/meta-data/", PRIVATE),
    ],
)
def test_only_public_https_addresses_are_requested(url: str, answer: str) -> None:
    if answer == PUBLIC:
        assert public_address(httpx2.URL(url), lookup) == PUBLIC
        return
    attempts: list[Callable[[str], object]] = [lambda url: public_address(httpx2.URL(url), lookup), _get]
    for attempt in attempts:
        with pytest.raises(AddressRefusedError, match=answer) as refused:
            attempt(url)
        assert "example" not in str(refused.value), "the address is not repeated"


def _get(url: str) -> object:
    with httpx2.Client(transport=OutsideTransport(lookup)) as client:
        return client.get(url)


def test_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its address between the check and the connection gains nothing."""
    sent: list[httpx2.Request] = []
    asked: list[str] = []

    def answer(self: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        location = {"Location": "/b.wav"} if request.url.path == "/a.wav" else {}
        return httpx2.Response(302 if location else 200, headers=location)

    def once(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return lookup(host, port)

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", answer)
    with httpx2.Client(transport=OutsideTransport(once), follow_redirects=True) as client:
        assert client.get("https://media.example/a.wav").url == "https://media.example/b.wav"
    assert [str(request.url) for request in sent] == [f"https://{PUBLIC}/a.wav", f"https://{PUBLIC}/b.wav"]
    assert {request.headers["Host"] for request in sent} == {"media.example"}
    assert {request.extensions["sni_hostname"] for request in sent} == {"media.example"}
    assert asked == ["media.example"] * 2, "one look-up a request"


PROXY = "http://proxy.example:3128"
GUARDED, PROXIED, REFUSED = "guarded", "by the proxy", "refused"


@pytest.mark.parametrize(
    ("environment", "url", "way"),
    [
        ({"NO_PROXY": "inside.example"}, "https://inside.example/", REFUSED),
        ({"NO_PROXY": "inside.example"}, "https://media.example/", GUARDED),
        ({"HTTP_PROXY": PROXY}, "https://inside.example/", REFUSED),
        ({"HTTP_PROXY": PROXY}, "https://media.example/", GUARDED),
        ({"HTTPS_PROXY": PROXY}, "https://media.example/", PROXIED),
        ({"ALL_PROXY": "proxy.example:3128"}, "https://media.example/", PROXIED),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "inside.example"}, "https://inside.example/", REFUSED),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, "https://inside.example/", REFUSED),
    ],
)
def test_only_what_a_proxy_gets_is_left_unchecked(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, way: str
) -> None:
    """Each client for addresses from outside does the same; their own servers do not matter here."""
    sent: list[tuple[httpx2.HTTPTransport, str]] = []
    closed: list[httpx2.HTTPTransport] = []

    def answer(self: httpx2.HTTPTransport, request: httpx2.Request) -> httpx2.Response:
        sent.append((self, request.url.host))
        return httpx2.Response(200)

    _use(monkeypatch, environment)
    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", answer)
    monkeypatch.setattr(httpx2.HTTPTransport, "close", lambda self: closed.append(self))
    monkeypatch.setattr(OutsideTransport.__init__, "__defaults__", (lookup,))
    with ExitStack() as stack:
        for client in (
            outside_client(1.0, ["n8n.internal"]),
            httpx2.Client(transport=guarded("https://idp.internal/realm")),
            httpx2.Client(transport=redirects_guarded("https://api.example")),
        ):
            stack.enter_context(client)
            if way == REFUSED:
                with pytest.raises(AddressRefusedError, match=PRIVATE):
                    client.get(url)
            else:
                client.get(url)
    assert [host for _, host in sent] == {GUARDED: [PUBLIC] * 3, PROXIED: ["media.example"] * 3, REFUSED: []}[
        way
    ]
    assert {id(transport) for transport, _ in sent} <= {id(transport) for transport in closed}


def _use(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("listed", "url", "reached"),
    [
        ("n8n.internal:80", "http://n8n.internal/in", True),
        ("n8n.internal:80", "http://n8n.internal:80/in", True),
        ("n8n.internal:443", "https://n8n.internal/in", True),
        ("n8n.internal", "http://n8n.internal:5678/in", True),
        ("n8n.internal:80", "http://n8n.internal:81/in", False),
    ],
)
def test_listed_host_is_reached_at_its_port(
    monkeypatch: pytest.MonkeyPatch, listed: str, url: str, reached: bool
) -> None:
    _use(monkeypatch, {})
    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", lambda self, request: httpx2.Response(204))
    with outside_client(1.0, [listed]) as client:
        if reached:
            assert client.post(url).status_code == 204
            return
        with pytest.raises(AddressRefusedError):
            client.post(url)


def test_cookies_of_receivers_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    _use(monkeypatch, {})
    answer = httpx2.Response(204, headers={"Set-Cookie": "a=b"})
    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", lambda self, request: answer)
    with outside_client(1.0, ["n8n.internal"]) as client:
        client.post("http://n8n.internal/in")
        assert list(client.cookies.jar) == []
