"""Jobs that tests steer while they run."""

import pytest

from tests.unit.conductor.steered import SteeredJob


@pytest.fixture
def steered():
    """Return a function that makes such a job; all its threads end with the test."""
    made = []

    def make(hosts, **options):
        made.append(SteeredJob(hosts, **options))
        return made[-1]

    yield make
    for one in made:
        one.finish()
