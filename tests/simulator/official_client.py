"""The official library's HTTP, led to the simulated carrier."""

from typing import Any

from requests import Session
from twilio.http.http_client import TwilioHttpClient


class LocalHttpClient(TwilioHttpClient):  # type: ignore[misc]  # the library has no types
    """Sends the library's requests to the simulated carrier instead of api.twilio.com."""

    def __init__(self, api_url: str) -> None:
        super().__init__(timeout=10)
        self._api_url = api_url
        self.session = Session()
        self.session.trust_env = False

    def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        local = url.replace("https://api.twilio.com", self._api_url)
        return super().request(method, local, *arguments, **options)
