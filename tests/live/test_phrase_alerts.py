"""Phrase rules on live words: stored alerts and their events."""

import time

import pytest

from callreel.cluster.group_commit import Write
from callreel.domain.call import Role
from callreel.domain.events import EventKind, LiveEvent
from callreel.domain.ids import CallId
from callreel.domain.pause import PauseCause
from callreel.domain.transcript import Word
from callreel.live.phrase_alerts import PhraseAlerts
from callreel.store.calls import pauses, phrase_alerts
from callreel.store.calls.phrase_alerts import PhraseAlertRow
from callreel.store.transcripts import phrase_rules
from tests.support.installation import NOON, Installation, a_call, eventually
from tests.support.rows import a_rule

CALL = CallId("000000000001")


def words(text: str, start_ms: int = 0) -> list[Word]:
    return [
        Word(word, start_ms + 100 * at, start_ms + 100 * at + 100) for at, word in enumerate(text.split())
    ]


def alerts_of(installation: Installation) -> list[PhraseAlertRow]:
    with installation.database.read() as conn:
        return phrase_alerts.of_call(conn, CALL)


def published(installation: Installation) -> list[LiveEvent]:
    return [event for event in installation.published if event.kind is EventKind.PHRASE_ALERT]


def watching(installation: Installation) -> PhraseAlerts:
    alerts = PhraseAlerts(installation.commits, installation.clock)
    alerts.refresh()
    return alerts


async def test_stable_words_and_their_final_raise_one_alert(installation: Installation) -> None:
    a_call(installation)
    rule = a_rule(installation.database, name="Refund", phrases=("refund*",))
    alerts = watching(installation)
    for text in ("i want", "i want a refund", "i want a refund now"):
        alerts.watch.stable(CALL, Role.TECHNICIAN, 4, words(text))
    alerts.watch.final(CALL, Role.TECHNICIAN, 4, words("i want a refund now"))
    await alerts.close()
    [row] = alerts_of(installation)
    assert (row.rule_id, row.rule, row.role, row.place) == (
        rule.id,
        "Refund",
        Role.TECHNICIAN,
        "technician-4",
    )
    assert (row.start_ms, row.end_ms) == (300, 400)
    [event] = published(installation)
    assert event.id is not None and event.data == row.data
    assert "want" not in str(event.data)


async def test_segment_that_is_decoded_again_after_a_restart_raises_no_second_alert(
    installation: Installation,
) -> None:
    a_call(installation)
    a_rule(installation.database)
    for _ in range(2):
        alerts = watching(installation)
        alerts.watch.final(CALL, Role.AGENT, 0, words("a refund"))
        await alerts.close()
    assert len(alerts_of(installation)) == len(published(installation)) == 1


async def test_rule_is_limited_to_a_party_and_to_numbers(installation: Installation) -> None:
    a_call(installation)
    a_rule(installation.database, name="agent", role=Role.AGENT)
    a_rule(installation.database, name="here", number_prefix="+1212")
    a_rule(installation.database, name="elsewhere", number_prefix="+49")
    a_rule(installation.database, name="off", enabled=False)
    alerts = watching(installation)
    alerts.watch.final(CALL, Role.TECHNICIAN, 0, words("a refund"))
    await alerts.close()
    assert [row.rule for row in alerts_of(installation)] == ["here"]


async def test_changed_rules_are_in_force_after_a_refresh(installation: Installation) -> None:
    a_call(installation)
    alerts = watching(installation)
    rule = a_rule(installation.database)
    alerts.refresh()
    alerts.watch.final(CALL, Role.AGENT, 0, words("a refund"))
    with installation.database.write() as conn:
        phrase_rules.remove(conn, rule.id)
    await eventually(lambda: alerts_of(installation))
    alerts.refresh()
    alerts.watch.final(CALL, Role.AGENT, 1, words("a refund", 1_000))
    await alerts.close()
    assert len(alerts_of(installation)) == 1


async def test_words_of_a_pause_raise_no_alert(installation: Installation) -> None:
    a_call(installation)
    a_rule(installation.database)
    with installation.database.write() as conn:
        pause, _ = pauses.begin(conn, CALL, PauseCause.PERSON, "ada", NOON)
        assert pause is not None
        pauses.change(conn, pause.id, start_ms=1_000)
    alerts = watching(installation)
    alerts.watch.final(CALL, Role.AGENT, 0, words("a refund"))
    alerts.watch.final(CALL, Role.AGENT, 1, words("a refund", 900))
    await alerts.close()
    assert [row.place for row in alerts_of(installation)] == ["agent-0"]


async def test_call_has_a_limited_number_of_alerts(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callreel.live.phrase_alerts.MOST_ALERTS", 3)
    a_call(installation)
    a_rule(installation.database)
    alerts = watching(installation)
    for number in range(5):
        alerts.watch.final(CALL, Role.AGENT, number, words("a refund", 1_000 * number))
    await alerts.close()
    assert len(alerts_of(installation)) == len(published(installation)) == 3


async def test_match_that_is_known_to_raise_no_alert_queues_no_transaction(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callreel.live.phrase_alerts.MOST_ALERTS", 2)
    a_call(installation)
    a_rule(installation.database)
    alerts = watching(installation)
    commits: list[object] = []
    commit = installation.commits.commit

    async def counted(write: Write, order: str = "") -> None:
        commits.append(write)
        await commit(write, order)

    monkeypatch.setattr(installation.commits, "commit", counted)
    for number in range(3):
        alerts.watch.final(CALL, Role.AGENT, number, words("a refund", 1_000 * number))
    await alerts.close()
    assert len(commits) == len(alerts_of(installation)) == 2
    monkeypatch.setattr("callreel.live.phrase_alerts.MOST_ALERTS", 9)
    a_rule(installation.database, name="elsewhere", phrases=("pump",), number_prefix="+49")
    alerts.refresh()
    alerts.watch.final(CALL, Role.AGENT, 3, words("the pump", 3_000))
    await alerts.close()
    assert len(commits) == 2
    alerts.watch.forget(CALL)
    alerts.watch.final(CALL, Role.AGENT, 4, words("the pump", 4_000))
    await alerts.close()
    assert len(commits) == 3 and len(alerts_of(installation)) == 2


async def test_alert_is_published_within_300_ms_of_the_stable_words(installation: Installation) -> None:
    """The 95th percentile over 200 utterances, with 50 rules."""
    a_call(installation)
    for number in range(49):
        a_rule(
            installation.database, name=f"rule {number}", phrases=(f"phrase{number} number*", "other words")
        )
    a_rule(installation.database)
    alerts = watching(installation)
    took_ms = []
    for number in range(200):
        said = words("so then i would like to have a refund for the pump", 10_000 * number)
        began = time.perf_counter()
        alerts.watch.stable(CALL, Role.AGENT, number, said)
        await eventually(lambda number=number: len(published(installation)) > number)  # type: ignore[misc]
        took_ms.append(1_000 * (time.perf_counter() - began))
        alerts.watch.final(CALL, Role.AGENT, number, said)
    await alerts.close()
    p95 = sorted(took_ms)[189]
    print(f"alert after stable words: P50 {sorted(took_ms)[99]:.1f} ms, P95 {p95:.1f} ms")
    assert p95 < 300
