"""Jobs that tests steer while they run."""

import pytest

from tests.unit.conductor.cloud import BY_SWARM
from tests.unit.conductor.steered import SteeredJob


@pytest.fixture
def steered(request):
    """Return a function that makes such a job; all its threads end with the test. A parameter `swarm`: its hosts get
    the images by swarm.
    """
    made = []

    def make(hosts, **options):
        if getattr(request, "param", "direct") == "swarm":
            options["swarm"] = BY_SWARM
        made.append(SteeredJob(hosts, **options))
        return made[-1]

    yield make
    for one in made:
        one.finish()
