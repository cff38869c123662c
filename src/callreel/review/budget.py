"""Alerts when the cost of a month exceeds its budget, or will: each once a month, as a webhook and a line in the log."""

import logging
from datetime import UTC
from decimal import Decimal

from callreel.domain.cost import Prices
from callreel.domain.events import Json
from callreel.domain.webhook import WebhookEvent
from callreel.review.statistics import month_figures
from callreel.runtime.clock import Clock
from callreel.store.calls import facts
from callreel.store.db.database import Database
from callreel.store.webhooks import deliveries

log = logging.getLogger(__name__)

FACT = "budget_alert"
"""The kind of the fact that an alert was sent: `{alert, month, …}`."""


class BudgetWatch:
    """One job of the leading server. Blocking."""

    def __init__(self, database: Database, clock: Clock, prices: Prices, budget: Decimal | None) -> None:
        self._database = database
        self._clock = clock
        self._prices = prices
        self._budget = budget

    def check(self) -> bool:
        """Send the alert that is due; returns whether there was one. Months are in UTC."""
        if self._budget is None:
            return False
        now = self._clock.now()
        with self._database.read() as conn:
            month = month_figures(conn, UTC, None, self._prices, now, self._budget)
            alert = month["budget_alert"]
            sent = {(fact.data.get("alert"), fact.data.get("month")) for fact in facts.of_kind(conn, FACT)}
        if alert is None or (alert, month["month"]) in sent:
            return False
        about: dict[str, Json] = {
            "alert": alert, "month": month["month"], "cost": month["month_cost"], "forecast": month["month_forecast"],
            "storage": month["month_storage"], "budget": month["budget"], "currency": self._prices.currency,
        }  # fmt: skip
        with self._database.write() as conn:
            deliveries.announce(conn, WebhookEvent.ALERT, about, now)
            facts.note(conn, FACT, about, now)
        log.warning("%s month=%s", str(alert).replace("_", " "), month["month"])
        return True
