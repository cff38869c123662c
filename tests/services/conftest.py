"""An installation of its own for each test."""

from collections.abc import Iterator

import pytest

from tests.services.ground import Ground, passing_ground


@pytest.fixture
def ground() -> Iterator[Ground]:
    with passing_ground() as here:
        yield here
