"""The carrier's routes for the notice about the recording and the question for consent.

Signed as the other webhooks are; the query of our own URLs is part of what is signed.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from callreel.domain.call import Direction
from callreel.domain.consent import OnDecline
from callreel.domain.ids import CallId, LegSid
from callreel.ingest.consent import ATTEMPTS
from callreel.ingest.consent_documents import ConsentStep
from callreel.twilio.webhooks import leg_of
from callreel.web.carrier.webhooks import Carrier, SignedForm, parsed

routes = APIRouter(include_in_schema=False)


async def _step(
    call: Annotated[str, Query(pattern=r"^[0-9a-f]{12}$")],
    direction: Direction,
    decline: OnDecline = OnDecline.CONTINUE,
    attempt: Annotated[int, Query(ge=1, le=ATTEMPTS)] = 1,
) -> ConsentStep:
    return ConsentStep(CallId(call), direction, decline, attempt)


Step = Annotated[ConsentStep, Depends(_step)]


@routes.post("/twilio/consent/notice")
async def notice(carrier: Carrier, form: SignedForm, step: Step) -> Response:
    return _twiml(await carrier.consent.notice(step))


@routes.post("/twilio/consent/played")
async def played(carrier: Carrier, form: SignedForm, step: Step) -> Response:
    return _twiml(await carrier.consent.played(step, LegSid(parsed(leg_of, form))))


@routes.post("/twilio/consent/answer")
async def answer(carrier: Carrier, form: SignedForm, step: Step) -> Response:
    leg_sid = LegSid(parsed(leg_of, form))
    key, words = form.get("Digits", ""), form.get("SpeechResult", "")
    return _twiml(await carrier.consent.answered(step, leg_sid, key, words))


def _twiml(document: str) -> Response:
    return Response(document, media_type="text/xml")
