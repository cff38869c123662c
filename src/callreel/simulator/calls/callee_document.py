"""The document of a dialled party (`<Number url>`), which runs on its own leg after the answer and before the bridge.

Meanwhile the caller receives the ringing on, with `answerOnBridge`. It may not dial. What happens if it cannot be fetched is
not documented; here the parties are bridged.
"""

from urllib.parse import urljoin

from callreel.domain.ids import LegSid
from callreel.simulator.calls.context import CallContext
from callreel.simulator.calls.prompts import gather, play
from callreel.simulator.calls.twiml_reader import TwimlError, read_document
from callreel.simulator.calls.twiml_script import Gather, Hangup, Pause, Play, Redirect, Reject, Say, Verb
from callreel.simulator.calls.webhook_forms import voice_form
from callreel.simulator.state import Leg
from callreel.simulator.webhook_delivery import Delivery

_MAX_DOCUMENTS = 20

Next = tuple[str, str, dict[str, str]]
"""A document to continue with: its URL, the method, and the fields that its request has in addition."""


class CalleeDocument:
    """Runs once, by `run`."""

    def __init__(self, call: CallContext, leg: Leg) -> None:
        self._call = call
        self._leg = leg
        self._at_ms = call.clock.next_ms()

    async def run(self, url: str) -> int | None:
        """The position of the bridge; None if the party or its document hung up, or the call ended."""
        call, leg = self._call, self._leg
        form = voice_form(
            leg_sid=LegSid(leg.sid),
            account_sid=call.services.account.sid,
            from_=leg.from_,
            to=leg.to,
            status="in-progress",
        ) | {"Direction": leg.direction, "ParentCallSid": call.leg.sid}
        following: Next | None = (url, "POST", {})
        if call.fault("notice-lost") is not None:
            call.warnings.append(f"11200 {url} could not be fetched")
            return self._at_ms
        for _ in range(_MAX_DOCUMENTS):
            if following is None:
                return self._at_ms
            url, method, fields = following
            response = await call.fetch(url, form | fields, method)
            self._at_ms = max(self._at_ms, call.clock.next_ms())
            try:
                hung_up, following = await self._execute(self._verbs(response), url)
            except TwimlError as error:
                call.warnings.append(f"{error.code} {error}")
                return None
            if hung_up:
                return None
        call.warnings.append(f"12200 more than {_MAX_DOCUMENTS} documents on a dialled leg")
        return None

    def _verbs(self, response: Delivery) -> tuple[Verb, ...]:
        return read_document(response.content_type, response.body).verbs if response.accepted else ()

    async def _execute(self, verbs: tuple[Verb, ...], url: str) -> tuple[bool, Next | None]:
        """Whether the leg is over, and the document to continue with."""
        call = self._call
        for verb in verbs:
            match verb:
                case Say() | Play() | Pause():
                    self._at_ms = await play(call, self._leg.sid, verb, self._at_ms, url)
                case Gather():
                    self._at_ms, fields = await gather(call, self._leg.sid, verb, self._at_ms, url)
                    if fields is not None:
                        over = not await call.wait_until(self._at_ms)
                        return over, (urljoin(url, verb.action), verb.method, fields)
                case Redirect():
                    return False, (urljoin(url, verb.url), verb.method, {})
                case Hangup() | Reject():
                    return True, None
                case _:
                    call.warnings.append(
                        "13221 a dialled party's document may only play, gather, redirect and hang up"
                    )
            if not await call.wait_until(self._at_ms):
                return True, None
        return False, None
