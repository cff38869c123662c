"""The scheduled jobs of an installation, which its leading server runs: reconciliation, archive, erasure, deletion at the
carrier, orders for lost work, topics of calls, the mail of the weekly report, and deletion of old workflow records."""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from callreel.app.mail import report_mail_of
from callreel.app.offline import OfflineInstallation
from callreel.app.redaction import redactor_of
from callreel.app.runtime import Runtime
from callreel.domain.errors import CarrierError
from callreel.domain.pause import ANY, UNCONFIRMED, CarrierPause
from callreel.domain.retention import parse_rules
from callreel.domain.work import WorkItem
from callreel.postcall.carrier_inventory import CarrierList
from callreel.postcall.reconciliation import SWEEP_INTERVAL_S, LookupSchedule, Reconciler
from callreel.postcall.topics import Topics
from callreel.postcall.workflows import Dispatcher
from callreel.retention.archive import QUIET, Archiver
from callreel.retention.audit_upkeep import AuditUpkeep
from callreel.retention.carrier_deletion import Deletion
from callreel.retention.erasure import Eraser
from callreel.retention.policies import Retention
from callreel.review.budget import BudgetWatch
from callreel.runtime.periodic import PeriodicJob
from callreel.settings import Settings
from callreel.store.webhooks import deliveries, endpoints

log = logging.getLogger(__name__)

CARRIER_EVERY_S = 900.0
LOST_WORK_EVERY_S = 60.0
HISTORY_EVERY_S = 3600.0
REDACTIONS_EVERY_S = 600.0
TOPICS_EVERY_S = 5.0
BUDGET_EVERY_S = 900.0
REPORT_MAIL_EVERY_S = 300.0


def scheduled_jobs(runtime: Runtime, dispatcher: Dispatcher, leads: Callable[[], bool]) -> list[PeriodicJob]:
    """For every server; the jobs run only on the one for which `leads` is true."""
    settings = runtime.settings
    reconciler = Reconciler(
        runtime.database, runtime.publisher, runtime.carrier, runtime.clock,
        LookupSchedule(settings.recording_grace_s, settings.recording_deadline_s), record=settings.record,
    )  # fmt: skip
    history = timedelta(days=settings.workflow_history_days)
    report_mail = report_mail_of(settings, runtime)

    def forget() -> None:
        before = runtime.clock.now() - history
        deleted = runtime.durable.delete_finished(before)
        if deleted:
            log.info("deleted records of finished workflows count=%d", deleted)
        with runtime.database.write() as conn:
            deliveries.delete_ended(conn, before)
            endpoints.forget_previous_secrets(conn, runtime.clock.now())

    return [
        PeriodicJob(name="reconcile", job=reconciler.sweep, interval_s=SWEEP_INTERVAL_S, enabled=leads),
        PeriodicJob(
            name="lost-work", job=dispatcher.reorder_lost, interval_s=LOST_WORK_EVERY_S, enabled=leads
        ),
        PeriodicJob(
            name="carrier-list", job=_carrier_review(runtime), interval_s=CARRIER_EVERY_S, jitter=0.2,
            enabled=leads,
        ),
        PeriodicJob(
            name="workflow-history", job=forget, interval_s=HISTORY_EVERY_S, jitter=0.2, enabled=leads
        ),
        archiver_of(settings, runtime).job(leads),
        retention_of(settings, runtime).job(leads),
        PeriodicJob(
            name="order-redactions", job=redactor_of(settings, runtime).order_due, interval_s=REDACTIONS_EVERY_S,
            enabled=leads,
        ),
        PeriodicJob(
            name="topics", job=Topics(runtime.database, runtime.publisher, runtime.clock).sweep,
            interval_s=TOPICS_EVERY_S, enabled=leads,
        ),
        audit_upkeep_of(settings, runtime).job(leads),
        PeriodicJob(
            name="budget", job=budget_watch_of(settings, runtime).check, interval_s=BUDGET_EVERY_S, jitter=0.2,
            enabled=leads,
        ),
        PeriodicJob(
            name="report-mail", job=lambda: report_mail.order_due(runtime.durable), interval_s=REPORT_MAIL_EVERY_S,
            enabled=leads,
        ),
    ]  # fmt: skip


def _carrier_review(runtime: Runtime) -> Callable[[], None]:
    """Reconciles with the carrier's list of recordings, and deletes the recordings there that are due."""
    listing = CarrierList(runtime.database, runtime.publisher, runtime.carrier, runtime.clock)
    deletion = deletion_of(runtime.settings, runtime)

    def review() -> None:
        if not runtime.carrier.usable:
            return
        try:
            listing.review(runtime.settings.reconcile_days)
        except CarrierError as error:
            log.warning("listing recordings failed: %s", error)
            return
        deletion.sweep()

    return review


def archiver_of(settings: Settings, runtime: Runtime | OfflineInstallation) -> Archiver:
    """The archiver with the policy of the settings."""
    after = {
        "never": None,
        "after_verified": QUIET,
        "after_days": timedelta(days=settings.archive_after_days),
    }
    return Archiver(
        runtime.database, runtime.blobs, runtime.clock, after=after[settings.archive],
        only_trusted=settings.archive == "after_verified",
    )  # fmt: skip


def budget_watch_of(settings: Settings, runtime: Runtime) -> BudgetWatch:
    """Alerts about the budget of the settings."""
    return BudgetWatch(runtime.database, runtime.clock, settings.prices, settings.monthly_budget)


def eraser_of(
    settings: Settings, runtime: Runtime | OfflineInstallation, unfinished: Callable[..., Sequence[WorkItem]]
) -> Eraser:
    """Carries out erasures. `unfinished` is that of the durable engine."""
    return Eraser(
        runtime.database, runtime.blobs, runtime.carrier, runtime.publisher, runtime.clock,
        unfinished=unfinished,
    )  # fmt: skip


def retention_of(settings: Settings, runtime: Runtime | OfflineInstallation) -> Retention:
    """The retention policies of the settings."""
    return Retention(
        runtime.database, runtime.blobs, runtime.carrier, runtime.publisher, runtime.clock,
        parse_rules(settings.retention),
    )  # fmt: skip


def deletion_of(settings: Settings, runtime: Runtime | OfflineInstallation) -> Deletion:
    """Deletes recordings at the carrier, with the policy of the settings."""
    days = settings.delete_after_days if settings.delete_at_carrier == "after_days" else None
    paused = {"never": frozenset[CarrierPause](), "unconfirmed": UNCONFIRMED, "always": ANY}
    return Deletion(
        runtime.database, runtime.blobs, runtime.carrier, runtime.clock, after_days=days,
        paused=paused[settings.pause_delete_at_carrier],
    )  # fmt: skip


def audit_upkeep_of(settings: Settings, runtime: Runtime) -> AuditUpkeep:
    """Keeps the audit trail, as the settings say."""
    return AuditUpkeep(runtime.database, runtime.clock, days=settings.audit_days)
