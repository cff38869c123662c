"""The carrier's part of the settings as options of the lower packages: signatures, TwiML, REST access."""

from callreel.carrier_client.rest import CarrierAccess
from callreel.ingest.voice_request import AnswerOptions
from callreel.settings import Settings
from callreel.twilio.dial_policy import DialPolicy
from callreel.twilio.signature import SignatureCheck


def signature_check(settings: Settings) -> SignatureCheck:
    """The check of webhook signatures with the configured secrets; without any, it rejects every request."""
    token = settings.auth_token.get_secret_value() if settings.auth_token else ""
    return SignatureCheck(token, {sid: key.get_secret_value() for sid, key in settings.shared_keys.items()})


def answer_options(settings: Settings) -> AnswerOptions:
    """The options of the TwiML, from the settings."""
    countries, prefixes = frozenset(settings.dial_countries), settings.dial_prefixes
    policy = (
        DialPolicy.for_caller_id(settings.caller_id, countries, prefixes)
        if settings.caller_id
        else DialPolicy(countries, prefixes)
    )
    return AnswerOptions(
        public_url=settings.public_url,
        stream_url=settings.stream_url,
        caller_id=settings.caller_id or "",
        incoming_agent=settings.incoming_agent,
        dial_policy=policy,
        stream_track=settings.stream_track,
        record=settings.record,
        recording_channels=settings.recording_channels,
        recording_track=settings.recording_track,
        recording_trim=settings.recording_trim,
        recording_events=settings.recording_events,
        callback_retries=settings.callback_retries,
        callback_retry_policy=settings.callback_retry_policy,
        answer_on_bridge=settings.answer_on_bridge,
        swap_tracks=settings.swap_tracks,
        redact=settings.redaction.redacts,
        token_ttl_s=settings.media_token_ttl_s,
        jurisdictions=settings.jurisdictions,
    )


def account_access(settings: Settings) -> CarrierAccess:
    """Credentials for the account's configuration: the auth token if it is set, since a key reaches no keys."""
    if settings.auth_token is None or settings.account_sid is None:
        return carrier_access(settings)
    token = settings.auth_token.get_secret_value()
    return CarrierAccess(
        settings.carrier_api_url, settings.account_sid, settings.account_sid, token, settings.fetch_timeout_s
    )


def carrier_access(settings: Settings) -> CarrierAccess:
    """Credentials for the REST API: the API key if one is set, else the account's auth token, for trials."""
    key, token = settings.api_key_secret, settings.auth_token
    username = settings.api_key_sid if key else settings.account_sid
    secret = key or token
    return CarrierAccess(
        settings.carrier_api_url, settings.account_sid or "", username or "",
        secret.get_secret_value() if secret else "", settings.fetch_timeout_s,
    )  # fmt: skip
