"""A bus of several brokers: one that is away costs nothing as long as another is there."""

from __future__ import annotations

import pytest

from precache.config.load import load_config
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, TaskResult
from precache.core.orders import ImageOrder
from precache.doctor.buses import check_computes_bus, check_notifications, check_own_bus
from precache.ports.compute_gateway import ImagesRequest
from tests.contract.buses import BusWorld

pytestmark = pytest.mark.external

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
REQUEST = ImagesRequest("job", "cmp-1", "cell1", (ImageOrder(IMAGE),))


@pytest.fixture
def cluster_url(cell_url):
    """A URL whose first broker refuses connections and whose second is there."""
    scheme, _, rest = cell_url.partition("//")
    login, _, place = rest.partition("@")
    return f"{scheme}//{login}@127.0.0.1:1,{login}@{place}"


@pytest.fixture
def world(cluster_url):
    opened = BusWorld(cluster_url)
    yield opened
    opened.close()


def test_a_host_is_asked_over_the_broker_that_is_there(world):
    world.join("cmp-1", lambda request: [TaskResult(IMAGE, Outcome.CACHED)])

    assert world.gateway().process_images(REQUEST) == [TaskResult(IMAGE, Outcome.CACHED)]


def test_doctor_finds_the_broker_that_is_there_whatever_the_url_is_for(cluster_url, tmp_path):
    file = tmp_path / "precache.conf"
    file.write_text(f"[DEFAULT]\ntransport_url = {cluster_url}\n[notifications]\ntransport_urls = {cluster_url}\n")
    config = load_config([file])

    for look in (check_own_bus, check_computes_bus, check_notifications):
        [finding] = look(config)
        assert finding.status == "ok"
        assert "127.0.0.1:1,127.0.0.1:" in finding.found
