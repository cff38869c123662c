"""Consent to recording: the policy of an installation, its decision for a call, and the stamp that the call keeps. Pure.

The policy is a list of rules in order; the first that matches a call decides, and without one the call is recorded without a
notice. What a jurisdiction requires is data (`jurisdictions.csv`), which rules may refer to. Nothing here is legal advice.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from callreel.domain.call import Direction
from callreel.domain.errors import SettingsError
from callreel.domain.events import Json
from callreel.domain.ids import CallId, LegSid
from callreel.domain.json_time import json_time
from callreel.domain.verdict import Reason


class Mode(StrEnum):
    """What happens before a call is recorded.

    `NONE`: it is recorded without a notice. `ANNOUNCE`: a notice is played to the other party. `ASK`: recording and streaming
    begin only after the other party agreed by a key or a word. `OFF`: the call is not recorded.
    """

    NONE = "none"
    ANNOUNCE = "announce"
    ASK = "ask"
    OFF = "do_not_record"


class OnDecline(StrEnum):
    """What happens to a call whose other party does not agree."""

    CONTINUE = "continue"
    END = "end"


class Answer(StrEnum):
    """The answer of the other party. `NONE`: they were asked, and neither pressed a key nor said a word that counts."""

    GRANTED = "granted"
    DECLINED = "declined"
    NONE = "none"


class Requirement(StrEnum):
    """What a jurisdiction requires of the recording of a call by one of its parties."""

    ALL_PARTIES = "all_parties"
    NOTICE = "notice"
    ONE_PARTY = "one_party"


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """A row of the table: a country (`DE`) or a part of one (`US-CA`), found by country or by number prefix.

    `checked` is the day on which somebody read `source`.
    """

    code: str
    name: str
    requirement: Requirement
    prefixes: tuple[str, ...]
    note: str
    source: str
    checked: str


@dataclass(frozen=True, slots=True)
class Wording:
    """A notice in one language, a BCP 47 tag. `sound` is the SHA-256 of an audio file that is played in place of the text.

    `yes` and `no` are the words that count as an answer; they are used with `Mode.ASK` only.
    """

    language: str
    text: str
    sound: str = ""
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice or question. Its version increases with each change of its wordings, at least one of which exists."""

    name: str
    wordings: tuple[Wording, ...]
    version: int = 1

    def wording(self, languages: Iterable[str]) -> Wording:
        """In the first of `languages` that the notice has, exactly or in another region, else in its first language."""
        for wanted in filter(None, languages):
            exact = [each for each in self.wordings if each.language.lower() == wanted.lower()]
            related = [each for each in self.wordings if _main(each.language) == _main(wanted)]
            if exact or related:
                return (exact or related)[0]
        return self.wordings[0]


def _main(language: str) -> str:
    """`de` of `de-AT`."""
    return language.lower().partition("-")[0]


@dataclass(frozen=True, slots=True)
class Subject:
    """The call that a policy decides on. `number` is the other party's in E.164, empty if it is withheld."""

    direction: Direction
    number: str
    country: str
    agent: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches a call if each given criterion does; an empty one matches every call.

    `prefixes` are beginnings of numbers in E.164, or whole numbers; `countries` are codes such as `DE`; `requirement` is that
    of the number's jurisdiction; `agents` are client identities. `language` overrides that of the call.
    """

    name: str
    mode: Mode
    notice: str = ""
    on_decline: OnDecline = OnDecline.CONTINUE
    language: str = ""
    direction: Direction | None = None
    prefixes: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    requirement: Requirement | None = None
    agents: tuple[str, ...] = ()

    def matches(self, call: Subject, requirement: Requirement | None) -> bool:
        return (
            self.direction in (None, call.direction)
            and (not self.prefixes or call.number.startswith(self.prefixes))
            and (not self.countries or call.country in self.countries)
            and self.requirement in (None, requirement)
            and (not self.agents or call.agent in self.agents)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """`agents_may_skip`: whether an agent may choose for a call that it is not recorded."""

    rules: tuple[Rule, ...] = ()
    notices: tuple[Notice, ...] = ()
    agents_may_skip: bool = True

    def __post_init__(self) -> None:
        names = [notice.name for notice in self.notices]
        for what, found in (("notices", names), ("rules", [rule.name for rule in self.rules])):
            if len(set(found)) < len(found):
                raise SettingsError(f"expected {what} with different names")
        for notice in self.notices:
            if not notice.wordings:
                raise SettingsError(f"the notice {notice.name} has no text in any language")
        for rule in self.rules:
            if rule.mode in (Mode.ANNOUNCE, Mode.ASK) and rule.notice not in names:
                raise SettingsError(f"the rule {rule.name} needs one of the notices of the policy")

    def notice(self, name: str) -> Notice:
        """The notice of that name, which a rule refers to."""
        return next(notice for notice in self.notices if notice.name == name)

    def numbered_after(self, earlier: "Policy") -> "Policy":
        """This policy with the versions of its notices: one more than in `earlier` where a wording differs."""
        known = {notice.name: notice for notice in earlier.notices}

        def version(notice: Notice) -> int:
            before = known.get(notice.name)
            return 1 if before is None else before.version + (before.wordings != notice.wordings)

        notices = tuple(Notice(each.name, each.wordings, version(each)) for each in self.notices)
        return Policy(self.rules, notices, self.agents_may_skip)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says about a call. `rule` is None without a match, or where the agent chose not to record."""

    mode: Mode
    rule: Rule | None = None
    notice: Notice | None = None
    wording: Wording | None = None
    jurisdiction: Jurisdiction | None = None
    skipped: bool = False
    """Whether the agent chose not to record this call."""


def decide(
    policy: Policy,
    jurisdictions: Sequence[Jurisdiction],
    call: Subject,
    *,
    language: str = "",
    skip: bool = False,
) -> Decision:
    """The decision for a call. `language` is that of the call; `skip`: the agent asks not to record it."""
    found = jurisdiction_of(jurisdictions, call)
    if skip and policy.agents_may_skip:
        return Decision(Mode.OFF, jurisdiction=found, skipped=True)
    requirement = found.requirement if found else None
    rule = next((rule for rule in policy.rules if rule.matches(call, requirement)), None)
    if rule is None or rule.mode in (Mode.NONE, Mode.OFF):
        return Decision(rule.mode if rule else Mode.NONE, rule, jurisdiction=found)
    notice = policy.notice(rule.notice)
    return Decision(rule.mode, rule, notice, notice.wording((rule.language, language)), found)


def jurisdiction_of(table: Sequence[Jurisdiction], call: Subject) -> Jurisdiction | None:
    """The row with the longest matching prefix, else the row of the country."""
    by_prefix = [
        (len(prefix), row) for row in table for prefix in row.prefixes if call.number.startswith(prefix)
    ]
    if by_prefix:
        return max(by_prefix, key=lambda found: found[0])[1]
    return next((row for row in table if row.code == call.country), None)


def read_jurisdictions(text: str) -> tuple[Jurisdiction, ...]:
    """The table from its CSV. Raises SettingsError."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    rows = []
    for number, row in enumerate(csv.DictReader(lines), 2):
        try:
            rows.append(
                Jurisdiction(
                    row["code"].strip(),
                    row["name"].strip(),
                    Requirement(row["requirement"].strip()),
                    tuple(row["prefixes"].split()),
                    row["note"].strip(),
                    row["source"].strip(),
                    row["checked"].strip(),
                )
            )
        except (KeyError, ValueError, AttributeError):
            raise SettingsError(
                f"table of jurisdictions, row {number}: expected code, name, requirement ({', '.join(Requirement)}),"
                " prefixes, note, source and checked"
            ) from None
    return tuple(rows)


def answer_to(wording: Wording, key: str, words: str) -> tuple[Answer, str]:
    """The answer that a pressed key or spoken words give, and its form: `key`, `word` or empty.

    Key 1 agrees, any other declines. Words count only if they contain a word of one list and none of the other.
    """
    if key:
        return (Answer.GRANTED if key == "1" else Answer.DECLINED), "key"
    spoken = f" {_plain(words)} "
    agrees, declines = (any(f" {_plain(word)} " in spoken for word in of) for of in (wording.yes, wording.no))
    if agrees == declines:
        return Answer.NONE, ""
    return (Answer.GRANTED if agrees else Answer.DECLINED), "word"


def _plain(words: str) -> str:
    letters = "".join(
        letter if letter.isalnum() else " " for letter in words.replace("'", "").replace("’", "")
    )
    return " ".join(letters.casefold().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a call keeps of its consent; a row of `consents`.

    `played_at`: when the notice had been played to its end. With `Mode.ASK` it is the time of the answer, which the carrier
    takes only after that. `leg_sid` is the leg that received the notice and answered. `answered_by` is `key` or `word`.
    `capture_at`: when recording and streaming were requested. `failure` is why they could not be. `stopped_at`: when a person
    chose during the call that it is not recorded; `erased_at`: when all that had been captured until then was erased.
    """

    call_id: CallId
    mode: Mode
    policy_version: int
    rule: str = ""
    skipped: bool = False
    notice: str = ""
    notice_version: int = 0
    language: str = ""
    on_decline: OnDecline = OnDecline.CONTINUE
    leg_sid: LegSid | None = None
    played_at: datetime | None = None
    answer: Answer | None = None
    answered_at: datetime | None = None
    answered_by: str = ""
    capture_at: datetime | None = None
    capture_claimed_until: datetime | None = field(default=None, repr=False)
    failure: str = ""
    stopped_at: datetime | None = None
    erased_at: datetime | None = None

    @property
    def permits_recording(self) -> bool:
        """Whether recording and streaming may begin now."""
        if self.stopped_at is not None:
            return False
        if self.mode is Mode.ASK:
            return self.answer is Answer.GRANTED
        return self.mode is not Mode.OFF

    @property
    def excludes_recording(self) -> bool:
        """Whether nothing of the call will be recorded: by a rule or the agent, or since consent was not given."""
        undecided = self.mode is Mode.ASK and self.answer is None and self.stopped_at is None
        return not self.permits_recording and not undecided

    @property
    def unrecorded(self) -> Reason | None:
        """Why nothing of the call was recorded; None if a recording is expected. For calls that have ended."""
        if self.stopped_at is not None:
            return Reason(
                "do_not_record",
                "the agent chose during the call not to record it; what was recorded until then is erased",
            )
        match self.mode:
            case Mode.OFF if self.skipped:
                return Reason("do_not_record", "the agent chose not to record this call")
            case Mode.OFF:
                return Reason(
                    "do_not_record", f"the rule “{self.rule}” of the recording policy excludes this call"
                )
            case Mode.ASK if self.answer is Answer.DECLINED:
                return Reason("consent_declined", "the other party declined to be recorded")
            case Mode.ASK if self.answer is not Answer.GRANTED:
                return Reason("consent_missing", "no consent of the other party was stored")
        if self.capture_at is None:
            why = f": {self.failure}" if self.failure else ""
            return Reason(
                "recording_not_started", f"the recording had not been started when the call ended{why}"
            )
        return None

    def unannounced(self, answered: bool) -> Reason | None:
        """That the notice was not played to its end on an answered call, which was recorded all the same."""
        if self.stopped_at is not None:
            return None
        if self.mode is Mode.ANNOUNCE and self.played_at is None and self.capture_at and answered:
            return Reason("notice_missing", "the notice about the recording was not played to its end")
        return None

    @property
    def summary(self) -> dict[str, Json]:
        """As JSON, for pages, exports and events. The notice is always for the party that is not the agent."""
        return {
            "mode": self.mode.value,
            "rule": self.rule or None,
            "policy_version": self.policy_version,
            "skipped": self.skipped,
            "notice": self.notice or None,
            "notice_version": self.notice_version or None,
            "language": self.language or None,
            "on_decline": self.on_decline.value if self.mode is Mode.ASK else None,
            "leg_sid": self.leg_sid,
            "played_at": json_time(self.played_at),
            "answer": self.answer.value if self.answer else None,
            "answered_at": json_time(self.answered_at),
            "answered_by": self.answered_by or None,
            "recording_requested_at": json_time(self.capture_at),
            "failure": self.failure or None,
            "stopped_at": json_time(self.stopped_at),
            "erased_at": json_time(self.erased_at),
            "may_record": self.permits_recording,
            "recording_expected": self.unrecorded is None,
            "text": self.text,
        }

    @property
    def text(self) -> str:
        """One sentence about it, for people."""
        if self.stopped_at is not None:
            erased = "was erased" if self.erased_at is not None else "is being erased"
            return (
                f"Not recorded: chosen by the agent during the call. What was recorded until then {erased}."
            )
        match self.mode:
            case Mode.NONE:
                return "Recorded without a notice."
            case Mode.OFF:
                return (
                    "Not recorded: chosen by the agent."
                    if self.skipped
                    else "Not recorded: excluded by the policy."
                )
            case Mode.ANNOUNCE if self.played_at is None:
                return "The notice about the recording has not been played to its end."
            case Mode.ANNOUNCE:
                return "Recorded after a notice."
        if self.failure:
            return f"Consent given, but the recording failed to start: {self.failure}."
        match self.answer:
            case None:
                return "Not recorded: waiting for consent."
            case Answer.GRANTED if self.capture_at:
                return "Recorded with consent."
            case Answer.GRANTED:
                return "Consent given. The recording is starting."
            case Answer.DECLINED:
                return "Not recorded: the other party declined."
            case Answer.NONE:
                return "Not recorded: the other party did not answer the question."
