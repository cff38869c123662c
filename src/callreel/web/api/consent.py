"""The API of the recording policy: rules, notices and their sounds, and which rule applies to a call."""

import asyncio
import hashlib
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from callreel.audio import wav
from callreel.domain.call import Direction
from callreel.domain.consent import Decision, Mode, OnDecline, Policy, Requirement, Subject, decide
from callreel.domain.errors import SettingsError
from callreel.domain.events import Json
from callreel.store.audit.pending import describe
from callreel.store.calls import consent_policies
from callreel.store.calls.consent_policies import PolicyRow, SoundRow
from callreel.twilio.dial_policy import country_of
from callreel.web.dependencies import Context, CurrentPerson
from callreel.web.errors import InvalidError, RequestConflictError, existing
from callreel.web.values import Body

LONGEST_SOUND_MS = 60_000

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^\S(.*\S)?$")]
Language = Annotated[str, Field(max_length=20, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Word = Annotated[str, Field(min_length=1, max_length=40)]
Prefix = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{0,14}$")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Identity = Annotated[str, Field(min_length=1, max_length=121)]

routes = APIRouter(tags=["recording policy"])


class WordingBody(Body):
    """A notice in one language: its text, and optionally the digest of a sound that is played in place of it."""

    language: Language
    text: str = Field(min_length=1, max_length=1000)
    sound: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    yes: list[Word] = Field(default=[], max_length=20)
    no: list[Word] = Field(default=[], max_length=20)


class NoticeBody(Body):
    """A notice or question. Its version is assigned by the server."""

    name: Name
    wordings: list[WordingBody] = Field(min_length=1, max_length=20)


class RuleBody(Body):
    """One rule; criteria that are empty match every call."""

    name: Name
    mode: Mode
    notice: str = Field(default="", max_length=60)
    on_decline: OnDecline = OnDecline.CONTINUE
    language: Language | None = None
    direction: Direction | None = None
    prefixes: list[Prefix] = Field(default=[], max_length=200)
    countries: list[Country] = Field(default=[], max_length=60)
    requirement: Requirement | None = None
    agents: list[Identity] = Field(default=[], max_length=200)


class PolicyBody(Body):
    """The whole policy. `version` is that of the policy that was edited."""

    version: int = Field(ge=0)
    rules: list[RuleBody] = Field(max_length=100)
    notices: list[NoticeBody] = Field(max_length=20)
    agents_may_skip: bool = True

    def policy(self) -> Policy:
        """Raises InvalidError."""
        values = self.model_dump(mode="json", exclude={"version"})
        for rule in values["rules"]:
            rule["language"] = rule["language"] or ""
        try:
            return msgspec.convert(values, Policy)
        except (SettingsError, msgspec.ValidationError) as error:
            raise InvalidError(str(error)) from None


class PreviewBody(Body):
    """A call to try the policy on, by default the one in force."""

    direction: Direction
    number: str = Field(default="", max_length=40)
    agent: str = Field(default="", max_length=121)
    language: str = Field(default="", max_length=20)
    policy: PolicyBody | None = None


@routes.get("/api/v1/consent")
def get_policy(context: Context) -> JSONResponse:
    """The recording policy in force. Version 0 has no rules: every call is recorded without a notice."""
    with context.database.read() as conn:
        return JSONResponse(_shown(consent_policies.current(conn)))


@routes.put("/api/v1/consent")
def replace_policy(context: Context, person: CurrentPerson, wanted: PolicyBody) -> JSONResponse:
    """Replace the recording policy; it applies from the next call. 409 if somebody else changed it meanwhile."""
    policy = wanted.policy()
    sounds = {wording.sound for notice in policy.notices for wording in notice.wordings} - {""}
    with context.database.write() as conn:
        known = consent_policies.current(conn)
        if not consent_policies.has_sounds(conn, sounds):
            raise InvalidError("a sound of a notice was not uploaded")
        row = PolicyRow(
            wanted.version + 1, policy.numbered_after(known.policy), person.name, context.clock.now()
        )
        if known.version != wanted.version or not consent_policies.add(conn, row):
            raise RequestConflictError("somebody else changed the policy; reload the page")
        describe(version=row.version)
    return JSONResponse(_shown(row))


@routes.post("/api/v1/consent/preview")
def preview(context: Context, call: PreviewBody) -> JSONResponse:
    """Which rule applies to a call, and what its jurisdiction requires by the included table (no legal advice)."""
    if call.policy is not None:
        policy = call.policy.policy()
    else:
        with context.database.read() as conn:
            policy = consent_policies.current(conn).policy
    number = context.options.dial_policy.e164(call.number)
    subject = Subject(call.direction, number, country_of(number), call.agent)
    decision = decide(policy, context.options.jurisdictions, subject, language=call.language)
    return JSONResponse({"number": number or None, "country": subject.country or None, **_decided(decision)})


@routes.post("/api/v1/consent/sounds", status_code=201)
async def add_sound(context: Context, person: CurrentPerson, request: Request) -> JSONResponse:
    """Upload the sound of a notice: a WAV file (PCM, 16 bits), at most a minute and 1 MiB, as the body."""
    body = await request.body()
    try:
        info = wav.scan(lambda at, count: body[at : at + count], len(body))
    except wav.WavError as error:
        raise InvalidError(str(error)) from None
    if info.bits != 16 or info.format != wav.PCM or not 0 < info.duration_ms <= LONGEST_SOUND_MS:
        raise InvalidError("expected a WAV file with 16-bit PCM samples of at most a minute")
    row = SoundRow(
        hashlib.sha256(body).hexdigest(),
        "audio/wav",
        body,
        info.duration_ms,
        person.name,
        context.clock.now(),
    )

    def add() -> None:
        with context.database.write() as conn:
            consent_policies.add_sound(conn, row)

    await asyncio.to_thread(add)
    return JSONResponse({"sha256": row.sha256, "duration_ms": row.duration_ms}, 201)


@routes.get("/notices/{sha256}.wav", include_in_schema=False)
def get_sound(context: Context, sha256: str) -> Response:
    """The sound of a notice, for the carrier and for pages. The carrier does not sign the requests of `<Play>`."""
    with context.database.read() as conn:
        row = existing("sound", consent_policies.sound(conn, sha256))
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(row.body, media_type=row.media_type, headers=headers)


def _shown(row: PolicyRow) -> dict[str, Json]:
    policy = msgspec.to_builtins(row.policy)
    at = row.at.isoformat(timespec="seconds") if row.at else None
    return {"version": row.version, "by": row.by or None, "at": at, **policy}


def _decided(decision: Decision) -> dict[str, Json]:
    place, wording = decision.jurisdiction, decision.wording
    return {
        "mode": decision.mode.value,
        "rule": decision.rule.name if decision.rule else None,
        "notice": decision.notice.name if decision.notice else None,
        "language": wording.language if wording else None,
        "text": wording.text if wording else None,
        "jurisdiction": None
        if place is None
        else {
            "code": place.code,
            "name": place.name,
            "requirement": place.requirement.value,
            "note": place.note,
            "source": place.source,
            "checked": place.checked,
        },
    }
