"""The connection to the carrier's REST API: credentials, the carrier's own library on our HTTP client, and errors.

Error responses and unreadable ones are raised as CarrierError.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from twilio.base.exceptions import TwilioException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client
from twilio.rest.api.v2010.account import AccountContext

from callreel.domain.errors import CarrierError
from callreel.runtime.outgoing import redirects_guarded, tls_context
from callreel.runtime.retry import requested_wait_s

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CarrierAccess:
    """Address and credentials of the carrier's REST API. `username` is an API key SID or the account SID."""

    api_url: str
    account_sid: str
    username: str
    password: str
    timeout_s: float = 30.0

    @property
    def usable(self) -> bool:
        return bool(self.account_sid and self.username and self.password)


def http_client(access: CarrierAccess, transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """`transport` leads to the API's host; by default the client's own."""
    return httpx2.Client(
        auth=(access.username, access.password),
        timeout=access.timeout_s,
        follow_redirects=True,  # the client drops our credentials when a redirect leaves the host
        transport=redirects_guarded(access.api_url, transport),
        verify=tls_context(),
    )


def account_of(access: CarrierAccess, http: httpx2.Client) -> AccountContext:
    """The account's resources in the carrier's own library, whose requests use `http`."""
    # Without this environment, TWILIO_EDGE and TWILIO_REGION would redirect requests to another host.
    client = Client(
        access.username, access.password, access.account_sid,
        http_client=_Http(http, access.api_url), environment={"TWILIO_EDGE": ""},
    )  # fmt: skip
    client.api.base_url = access.api_url
    return client.api.v2010.accounts(access.account_sid)


class _Http(HttpClient):  # type: ignore[misc]
    """Our HTTP client for the carrier's library; raises error responses, with their `Retry-After`, as CarrierError."""

    def __init__(self, client: httpx2.Client, api_url: str) -> None:
        super().__init__(log, is_async=False)
        self._client = client
        self._api_url = api_url

    def request(
        self,
        method: str,
        uri: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        if not uri.startswith(f"{self._api_url}/"):
            raise CarrierError("the carrier's list continues on another host", retryable=False)
        try:
            answer = self._client.request(
                method, uri, params=params, data=data, headers=headers, auth=auth, follow_redirects=False
            )
        except httpx2.HTTPError as error:
            raise CarrierError(
                f"the carrier cannot be reached: {type(error).__name__}", retryable=True
            ) from None
        if answer.status_code >= 300:
            raise refusal(answer)
        return Response(answer.status_code, answer.text, answer.headers)


@contextmanager
def carrier_errors(what: str) -> Iterator[None]:
    """Raise responses that the library cannot parse as CarrierError, and add the request to error responses."""
    try:
        yield
    except CarrierError as error:
        if error.status is None:
            raise
        raise CarrierError(
            f"{error} to {what}",
            retryable=error.retryable,
            status=error.status,
            retry_after_s=error.retry_after_s,
        ) from None
    except json.JSONDecodeError:
        raise CarrierError(f"the carrier answered {what} with no JSON", retryable=True) from None
    except (TwilioException, ValueError, KeyError, TypeError, AttributeError):
        raise CarrierError(
            f"the carrier's answer to {what} has an unexpected form", retryable=False
        ) from None


def deleted(delete: Callable[[], bool]) -> bool:
    """Whether there was something to delete."""
    with carrier_errors("a deletion"):
        try:
            delete()
        except CarrierError as error:
            if error.status == 404:
                return False
            raise
    return True


def refusal(answer: httpx2.Response, passing: tuple[int, ...] = ()) -> CarrierError:
    """The error for an unsuccessful response. Statuses in `passing` count as transient, besides the usual ones."""
    status = answer.status_code
    return CarrierError(
        f"the carrier answered {status}",
        retryable=status in (408, 429, *passing) or status >= 500,
        status=status,
        retry_after_s=requested_wait_s(answer.headers),
    )
