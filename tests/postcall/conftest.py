"""A recorded call, before its recording is fetched."""

from collections.abc import Iterator

import pytest

from tests.support.installation import Installation
from tests.support.recorded_call import Recorded, recorded_call


@pytest.fixture
def recorded(installation: Installation) -> Iterator[Recorded]:
    with recorded_call(installation) as made:
        yield made
