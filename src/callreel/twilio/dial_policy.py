"""Which numbers an agent's browser may call: its input is untrusted, and some numbers cost extra.

A policy is a set of countries and a list of prefixes. Numbers are parsed and classified by `phonenumbers` (Google's
metadata). Reasons never contain a full number, since they reach logs and callers.
"""

import re
from dataclasses import dataclass

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType

from callreel.domain.errors import SettingsError

_ORDINARY = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.TOLL_FREE,
        PhoneNumberType.VOIP,
    }
)

_COSTLY = {
    PhoneNumberType.PREMIUM_RATE: "a premium rate number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.UAN: "a company's universal number, which may cost extra",
    PhoneNumberType.PERSONAL_NUMBER: "a personal number, which may cost extra",
    PhoneNumberType.PAGER: "a pager",
    PhoneNumberType.VOICEMAIL: "a voicemail access number",
}

# Area code 555 is unassigned: examples and the simulator use it, and a real carrier refuses it at no cost.
_FICTIONAL = "+1555"
_PREFIX = re.compile(r"\+[1-9]\d{0,14}")
_LETTER = re.compile(r"[A-Za-z]")
_CODE = re.compile(r"[*#\uff03\uff0a]")
_PUNCTUATION = r"\s()./\-\u2010-\u2015\uff08\uff09\uff0d-\uff0f"
# A name in letters (1-800-FLOWERS) only at the end: the parser would read the letter O between digits as a 6.
_ONE_NUMBER = re.compile(rf"[+\uff0b]?[\d{_PUNCTUATION}]+(?:[A-Za-z][A-Za-z{_PUNCTUATION}]{{2,}})?")
# Contacts copied from other programs often stand between invisible marks of direction.
_AROUND = " \t\u00a0\u200e\u200f\u202a\u202c\u2066\u2068\u2069"
_SHORT_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Allowed:
    """The number may be dialled. `e164` is `+`, country code and number, digits only."""

    e164: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The number may not be dialled. `reason` is logged and spoken to the caller; it contains no full number."""

    reason: str


Decision = Allowed | Refused


@dataclass(frozen=True, slots=True)
class DialPolicy:
    """`countries` are region codes (`US`, `DE`): their ordinary numbers may be called.

    `prefixes` (`+4989`, `+1900555`) are allowed beyond that, whatever the country and the kind of number; emergency and
    short numbers never are. `default_region` is how a number without `+` is read; None refuses those.
    """

    countries: frozenset[str]
    prefixes: tuple[str, ...] = ()
    default_region: str | None = None

    def __post_init__(self) -> None:
        for country in sorted(self.countries):
            if country not in phonenumbers.SUPPORTED_REGIONS:
                raise SettingsError(
                    f"expected allowed countries as codes such as US or DE, got {country[:20]}"
                )
        for prefix in self.prefixes:
            if not _PREFIX.fullmatch(prefix):
                raise SettingsError(
                    f"expected allowed prefixes of + and digits such as +4989, got {prefix[:20]}"
                )

    @classmethod
    def for_caller_id(
        cls, e164: str, countries: frozenset[str] = frozenset(), prefixes: tuple[str, ...] = ()
    ) -> "DialPolicy":
        """The policy for a caller ID: `countries` default to its own, and numbers without `+` are local to it.

        In the +1 area that is one region only: a US caller ID does not allow the Caribbean. Raises SettingsError
        for a caller ID that is not a number in E.164.
        """
        region = _region(_caller_id(e164))
        if region is None:
            raise SettingsError("the caller ID belongs to no known country; set the allowed countries")
        return cls(countries or frozenset({region}), prefixes, region)

    def decide(self, raw: str) -> Decision:
        """Whether the typed text may be dialled, and as which number. Never raises.

        The parser would take the first number that it finds in any text, so the whole text must be one number.
        """
        raw = raw.strip(_AROUND).removeprefix("tel:")
        if _CODE.search(raw):
            return Refused("codes with a star or a hash cannot be dialled")
        if self._short(raw):
            return Refused("emergency and short numbers cannot be called from here")
        try:
            number = phonenumbers.parse(raw, self.default_region)
        except phonenumbers.NumberParseException:
            return Refused("that is not a phone number with its country's code")
        if number.extension:
            return Refused("numbers with an extension cannot be dialled")
        if not _ONE_NUMBER.fullmatch(raw):
            return Refused("that is not one phone number in digits")
        if not phonenumbers.is_possible_number(number):
            return Refused("that number has too few or too many digits")
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if e164.startswith(self.prefixes):
            return Allowed(e164)
        reason = self._against(number, e164)
        return Refused(reason) if reason else Allowed(e164)

    def e164(self, raw: str) -> str:
        """A typed number in E.164, whether it may be called or not; empty if it is none."""
        try:
            number = phonenumbers.parse(raw, self.default_region)
        except phonenumbers.NumberParseException:
            return ""
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    def _short(self, raw: str) -> bool:
        digits = 0 if _LETTER.search(raw) else len(_digits(raw))
        return 0 < digits <= _SHORT_DIGITS or any(
            phonenumbers.connects_to_emergency_number(raw, region) for region in self.countries
        )

    def _against(self, number: PhoneNumber, e164: str) -> str | None:
        region = _region(number)
        if region is None:
            return "that number belongs to no country: satellite, international or unassigned"
        if region not in self.countries:
            return f"calls to {region} are not allowed"
        kind = phonenumbers.number_type(number)
        if kind in _ORDINARY or e164.startswith(_FICTIONAL):
            return None
        return f"that is {_COSTLY.get(kind, 'a number of an unknown kind')}"


def mask(number: str) -> str:
    """A number for logs: its country code and its last two digits, `+1…67`. Names such as `client:ada` are unchanged."""
    digits = _digits(number)
    if len(digits) <= _SHORT_DIGITS:
        return re.sub(r"\d", "·", number) if not _LETTER.search(number) else number
    try:
        code = f"+{phonenumbers.parse(number).country_code}"
    except phonenumbers.NumberParseException:
        code = ""
    return f"{code}…{digits[-2:]}"


def country_of(e164: str) -> str:
    """The code of a number's country; empty for a number of no country, and for a withheld one."""
    try:
        return _region(phonenumbers.parse(e164)) or ""
    except phonenumbers.NumberParseException:
        return ""


def _caller_id(e164: str) -> PhoneNumber:
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        raise SettingsError("the caller ID must be a number such as +15551234567") from None
    if not phonenumbers.is_possible_number(number):
        raise SettingsError("the caller ID has too few or too many digits")
    return number


def _region(number: PhoneNumber) -> str | None:
    """The country of an assigned number. `001` (satellite, international services) is none."""
    if phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).startswith(_FICTIONAL):
        return "US"
    region: str | None = phonenumbers.region_code_for_number(number)
    return None if region == "001" else region


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdecimal())
