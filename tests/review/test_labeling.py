"""Labels of a call that was erased between a request's check and its change."""

import pytest

from callreel.cluster.event_bus import EventBus
from callreel.cluster.event_publisher import EventPublisher
from callreel.domain.access import RIGHTS, UserRole
from callreel.domain.errors import NoCallError
from callreel.domain.label import LabelColor
from callreel.review.labeling import Labeling
from callreel.runtime.clock import Clock
from callreel.store.db.database import Database
from tests.support.rows import CALL


def test_label_of_an_erased_call_is_refused(database: Database) -> None:
    labeling = Labeling(database, EventPublisher(database, EventBus(), Clock()), Clock(), ())
    label, rights = labeling.add("complaint", LabelColor.RED), RIGHTS[UserRole.AGENT]
    with pytest.raises(NoCallError):
        labeling.attach(CALL.id, label.id, "maria", rights)
    with pytest.raises(NoCallError):
        labeling.detach(CALL.id, label.id, rights)
