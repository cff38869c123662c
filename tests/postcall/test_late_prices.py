"""The carrier rates recordings and legs some time after a call; until then their cost is estimated."""

import asyncio
from datetime import date

import pytest
from sqlalchemy import update

from callreel.domain.cost import Prices
from callreel.domain.errors import CarrierError
from callreel.postcall.carrier_inventory import CarrierList
from callreel.review.summary import call_summary
from callreel.store.calls import calls, legs, recordings
from callreel.store.db import tables
from callreel.twilio.rest_resources import CallResource
from tests.imports.history import history
from tests.support.installation import NOON, Installation


def bill(installation: Installation, currency: str = "USD") -> dict[str, tuple[float, bool]]:
    """Amount of each item of the only call, and whether it is an estimate."""
    with installation.database.read() as conn:
        (call,) = calls.since(conn, NOON.replace(year=2025))
        document = call_summary(conn, call.id, Prices(currency))
    assert document is not None and isinstance(document["cost"], dict)
    items = document["cost"]["items"]
    assert isinstance(items, list)
    return {
        str(item["name"]): (float(str(item["amount"])), bool(item["estimated"]))
        for item in items
        if isinstance(item, dict)
    }


async def test_failing_list_of_legs_does_not_stop_the_review(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(day: date) -> list[CallResource]:
        raise CarrierError("503", retryable=True)

    async with history(installation, 1) as here:
        await here.run()
        with installation.database.write() as conn:
            conn.execute(update(tables.legs).values(price=None, price_currency=None))
        here.state.recordings.clear()
        monkeypatch.setattr(here.client, "legs_of_day", failing)
        inventory = CarrierList(
            installation.database, installation.publisher, here.client, installation.clock
        )
        assert await asyncio.to_thread(inventory.review, 40)


async def test_price_arrives_with_the_next_list(installation: Installation) -> None:
    async with history(installation, 1) as here:
        await here.run()
        charged = bill(installation)
        with installation.database.write() as conn:
            for table in (tables.recordings, tables.legs):
                conn.execute(update(table).values(price=None, price_currency=None))
        estimated = bill(installation)
        assert all(is_estimate for _, is_estimate in estimated.values())
        inventory = CarrierList(
            installation.database, installation.publisher, here.client, installation.clock
        )
        await asyncio.to_thread(inventory.review, 40, dry_run=True)
        assert bill(installation) == estimated
        await asyncio.to_thread(inventory.review, 40)
    assert bill(installation) == charged
    # The agent was on the line for half a second, which the stand-in does not rate.
    assert {name for name, (_, is_estimate) in charged.items() if not is_estimate} == {
        "telephone leg",
        "recording",
    }
    with installation.database.read() as conn:
        (call,) = calls.since(conn, NOON.replace(year=2025))
        (recording,) = recordings.of_call(conn, call.id)
        assert [leg.price for leg in legs.of_call(conn, call.id)] == [0.014, None]
    assert (recording.price, recording.price_currency) == (0.0025, "USD")
    # A price in another currency is not part of an estimate in this one.
    assert all(is_estimate for _, is_estimate in bill(installation, "EUR").values())
