"""What is redacted in a call: kinds of sensitive data, and the stretches of a party's speech that contain them. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from callreel.domain.call import Role


class Entity(StrEnum):
    """A kind of sensitive data."""

    CARD_NUMBER = "card_number"
    SECURITY_CODE = "security_code"
    BANK_ACCOUNT = "bank_account"
    NATIONAL_ID = "national_id"
    EMAIL = "email"
    PHONE = "phone"
    BIRTH_DATE = "birth_date"
    NAME = "name"
    ADDRESS = "address"
    OTHER = "other"
    """Chosen by a person."""

    @property
    def mask(self) -> str:
        """What replaces it in text, such as `[card number]`."""
        return f"[{_NAMES.get(self, self.value.replace('_', ' '))}]"


_NAMES = {
    Entity.EMAIL: "e-mail address",
    Entity.PHONE: "phone number",
    Entity.BIRTH_DATE: "date of birth",
    Entity.OTHER: "redacted",
}


class RedactionPolicy(StrEnum):
    """`OFF` finds nothing; `KEEP_BOTH` keeps the originals for people with the right to them; `REDACTED_ONLY` destroys them."""

    OFF = "off"
    KEEP_BOTH = "keep_both"
    REDACTED_ONLY = "redacted_only"

    @property
    def redacts(self) -> bool:
        """Whether every call is redacted, so that its text waits for that."""
        return self is not RedactionPolicy.OFF


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of one party's speech that contains an entity, from `start_ms` to `end_ms` of the call's clock."""

    role: Role
    entity: Entity
    start_ms: int
    end_ms: int

    def overlap_ms(self, other: "Stretch") -> int:
        """How long both last at the same time; 0 for stretches of different parties."""
        if self.role is not other.role:
            return 0
        return max(0, min(self.end_ms, other.end_ms) - max(self.start_ms, other.start_ms))
