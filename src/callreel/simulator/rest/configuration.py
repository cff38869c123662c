"""The account's configuration over REST: account, balance, API keys, TwiML apps, phone numbers.

Fields, parameters and defaults are those of Twilio's documentation of these resources. A standard API key reaches neither
the account nor the keys (reference/twilio.md, section 6): the carrier answers as for wrong credentials.
"""

import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import FormData

from callreel.simulator.calls.webhook_forms import API_VERSION
from callreel.simulator.configuration import APP_DEFAULTS, ApiKey, Configured
from callreel.simulator.rest.protocol import (
    NOT_AUTHENTICATED,
    Context,
    Form,
    RestContext,
    RestError,
    get,
    invalid,
    not_found,
    page_of,
    text,
)
from callreel.twilio.timestamps import rfc2822

router = APIRouter()
account_router = APIRouter()
"""The account itself, whose path is the prefix of the others."""

INVALID_URL = 21402
INVALID_METHOD = 21403

T = TypeVar("T")

_LONGEST_NAME = 64
_FLAGS = ("voice_caller_id_lookup",)


async def _auth_token_only(request: Request, context: Context) -> None:
    if request.state.user != context.account.sid:
        raise RestError(401, NOT_AUTHENTICATED, "Authenticate")


AuthTokenOnly = Annotated[None, Depends(_auth_token_only)]


@get(account_router, ".json")
async def fetch_account(context: Context, _: AuthTokenOnly) -> Response:
    account, uri = context.account, f"/{API_VERSION}/Accounts/{context.account.sid}"
    now = rfc2822(datetime.now(UTC))
    names = ("calls", "recordings", "applications", "incoming_phone_numbers", "keys", "conferences")
    return JSONResponse(
        {
            "auth_token": account.auth_token,
            "date_created": now,
            "date_updated": now,
            "friendly_name": "Simulated account",
            "owner_account_sid": account.sid,
            "sid": account.sid,
            "status": "active",
            "subresource_uris": {
                name: f"{uri}/{name.title().replace('_', '')}.json" for name in names
            },
            "type": "Full",
            "uri": f"{uri}.json",
        }
    )  # fmt: skip


@get(router, "/Balance.json")
async def fetch_balance(context: Context) -> Response:
    balance = context.configuration.balance
    if balance is None:
        raise not_found("/Balance.json")
    return JSONResponse({"account_sid": context.account.sid, "balance": balance, "currency": "USD"})


@get(router, "/Keys.json")
async def list_keys(request: Request, context: Context, _: AuthTokenOnly) -> Response:
    keys = [_key_json(key) for key in reversed(context.configuration.keys.values())]
    return JSONResponse(page_of(request, "keys", keys))


@router.post("/Keys.json")
async def create_key(form: Form, context: Context, _: AuthTokenOnly) -> Response:
    """The only response with the secret."""
    now = datetime.now(UTC)
    key = ApiKey(context.new_sid("SK"), secrets.token_hex(16), _name(form, ""), now, now)
    context.configuration.keys[key.sid] = key
    return JSONResponse(_key_json(key) | {"secret": key.secret}, 201)


@get(router, "/Keys/{sid}.json")
async def fetch_key(sid: str, context: Context, _: AuthTokenOnly) -> Response:
    return JSONResponse(_key_json(_existing(context.configuration.keys, sid, "Keys")))


@router.post("/Keys/{sid}.json")
async def update_key(sid: str, form: Form, context: Context, _: AuthTokenOnly) -> Response:
    key = _existing(context.configuration.keys, sid, "Keys")
    return JSONResponse(_key_json(context.configuration.rename_key(sid, _name(form, key.friendly_name))))


@router.delete("/Keys/{sid}.json")
async def delete_key(sid: str, context: Context, _: AuthTokenOnly) -> Response:
    _existing(context.configuration.keys, sid, "Keys")
    del context.configuration.keys[sid]
    return Response(status_code=204)


@get(router, "/Applications.json")
async def list_apps(request: Request, context: Context) -> Response:
    name = request.query_params.get("FriendlyName")
    listed = _newest_first(context.configuration.apps)
    apps = [_app_json(context, app) for app in listed if name in (None, app.friendly_name)]
    return JSONResponse(page_of(request, "applications", apps))


@router.post("/Applications.json")
async def create_app(form: Form, context: Context) -> Response:
    fields = {**APP_DEFAULTS, **_changes(form, APP_DEFAULTS)}
    app = Configured(context.new_sid("AP"), _name(form, ""), fields)
    context.configuration.apps[app.sid] = app
    return JSONResponse(_app_json(context, app), 201)


@get(router, "/Applications/{sid}.json")
async def fetch_app(sid: str, context: Context) -> Response:
    return JSONResponse(_app_json(context, _existing(context.configuration.apps, sid, "Applications")))


@router.post("/Applications/{sid}.json")
async def update_app(sid: str, form: Form, context: Context) -> Response:
    app = _existing(context.configuration.apps, sid, "Applications")
    _update(app, form)
    return JSONResponse(_app_json(context, app))


@router.delete("/Applications/{sid}.json")
async def delete_app(sid: str, context: Context) -> Response:
    _existing(context.configuration.apps, sid, "Applications")
    del context.configuration.apps[sid]
    return Response(status_code=204)


@get(router, "/IncomingPhoneNumbers.json")
async def list_numbers(request: Request, context: Context) -> Response:
    """`PhoneNumber` selects the numbers that contain it; `*` stands for any digit."""
    query = request.query_params
    digits, name = query.get("PhoneNumber", ""), query.get("FriendlyName")
    numbers = [
        _number_json(context, number)
        for number in _newest_first(context.configuration.numbers)
        if name in (None, number.friendly_name) and _matches(number.fields["phone_number"], digits)
    ]
    return JSONResponse(page_of(request, "incoming_phone_numbers", numbers))


@get(router, "/IncomingPhoneNumbers/{sid}.json")
async def fetch_number(sid: str, context: Context) -> Response:
    number = _existing(context.configuration.numbers, sid, "IncomingPhoneNumbers")
    return JSONResponse(_number_json(context, number))


@router.post("/IncomingPhoneNumbers/{sid}.json")
async def update_number(sid: str, form: Form, context: Context) -> Response:
    """A voice application and a trunk exclude each other: setting one removes the other."""
    number = _existing(context.configuration.numbers, sid, "IncomingPhoneNumbers")
    app_sid = text(form, "VoiceApplicationSid")
    if app_sid and app_sid not in context.configuration.apps:
        raise invalid("VoiceApplicationSid", "the SID of an application of this account")
    _update(number, form)
    if app_sid:
        number.fields["trunk_sid"] = None
    elif text(form, "TrunkSid"):
        number.fields["voice_application_sid"] = None
    return JSONResponse(_number_json(context, number))


def _existing(resources: Mapping[str, T], sid: str, kind: str) -> T:
    """Raises RestError with 404."""
    if sid not in resources:
        raise not_found(f"/{kind}/{sid}.json")
    return resources[sid]


def _newest_first(resources: Mapping[str, Configured]) -> list[Configured]:
    return list(resources.values())[::-1]


def _matches(number: str, pattern: str) -> bool:
    """Whether `number` contains `pattern`, in which `*` stands for any digit."""
    ends = range(len(number) - len(pattern) + 1)
    return any(
        all(wanted in ("*", digit) for wanted, digit in zip(pattern, number[at:], strict=False))
        for at in ends
    )


def _name(form: FormData, default: str) -> str:
    name = text(form, "FriendlyName", default)
    if len(name) > _LONGEST_NAME:
        raise invalid("FriendlyName", f"at most {_LONGEST_NAME} characters long")
    return name


def _update(resource: Configured, form: FormData) -> None:
    name, changes = _name(form, resource.friendly_name), _changes(form, resource.fields)
    resource.friendly_name = name
    resource.fields |= changes
    resource.updated_at = datetime.now(UTC)


def _changes(form: FormData, fields: Iterable[str]) -> dict[str, Any]:
    """The values that a form sets, of those `fields` that can be set. An empty value removes an URL or a SID."""
    found: dict[str, Any] = {}
    for name in fields:
        parameter = name.title().replace("_", "")
        if parameter not in form or name == "phone_number":
            continue
        value = text(form, parameter)
        if name in _FLAGS:
            found[name] = value.lower() == "true"
        elif name.endswith("_method"):
            if value not in ("GET", "POST"):
                raise RestError(400, INVALID_METHOD, f"{parameter} must be GET or POST")
            found[name] = value
        else:
            if not name.endswith("_sid") and value and not _is_web_url(value):
                raise RestError(400, INVALID_URL, f"{parameter} is not a valid URL")
            found[name] = value or None
    return found


def _is_web_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _key_json(key: ApiKey) -> dict[str, Any]:
    return {
        "sid": key.sid,
        "friendly_name": key.friendly_name,
        "date_created": rfc2822(key.created_at),
        "date_updated": rfc2822(key.updated_at),
    }


def _configured_json(context: RestContext, resource: Configured, kind: str) -> dict[str, Any]:
    return {
        "sid": resource.sid,
        "account_sid": context.account.sid,
        "api_version": API_VERSION,
        "friendly_name": resource.friendly_name,
        "date_created": rfc2822(resource.created_at),
        "date_updated": rfc2822(resource.updated_at),
        "uri": f"/{API_VERSION}/Accounts/{context.account.sid}/{kind}/{resource.sid}.json",
        **resource.fields,
    }


def _app_json(context: RestContext, app: Configured) -> dict[str, Any]:
    return {"public_application_connect_enabled": False, **_configured_json(context, app, "Applications")}


def _number_json(context: RestContext, number: Configured) -> dict[str, Any]:
    return {
        **_configured_json(context, number, "IncomingPhoneNumbers"),
        "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
        "address_requirements": "none",
        "address_sid": None,
        "beta": False,
        "bundle_sid": None,
        "emergency_address_sid": None,
        "emergency_address_status": "unregistered",
        "emergency_status": "Inactive",
        "identity_sid": None,
        "origin": "twilio",
        "sms_application_sid": None,
        "status": "in-use",
        "voice_receive_mode": "voice",
    }
