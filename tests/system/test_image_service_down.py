"""An image service that is down at the request or later, or whose image cannot be cached: who gets the error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.glance_answers import show, show_and_change, show_and_go_down, status
from tests.system.operating import AGGREGATES, NEWEST, aggregate, call, ended, request, tasks
from tests.system.played_glance import PlayedGlance
from tests.system.serving import serving
from tools.local_service import LocalService

pytestmark = pytest.mark.system

DATA = b"data" * 1000
UNKNOWN = "70a599e0-31e7-49b7-b260-868f441e862b"


@pytest.fixture(scope="module")
def glance() -> Iterator[PlayedGlance]:
    with PlayedGlance() as played:
        yield played


@pytest.fixture(scope="module")
def service(glance: PlayedGlance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    root = tmp_path_factory.mktemp("away")
    environment = {"OS_GLANCE__ENDPOINT_OVERRIDE": glance.url, "OS_GLANCE__NUM_RETRIES": "1"}
    with serving(root, hosts="cell1:cmp-1,cell2:cmp-2", environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
def number(service: LocalService) -> int:
    """The aggregate of both hosts."""
    return aggregate(service, "cmp-1", "cmp-2")


def refusal(service: LocalService, number: int, *images: str) -> tuple[int, str]:
    body = {"cache": [{"id": image} for image in images]}
    answer = call(service, "POST", f"{AGGREGATES}/{number}/images", body, NEWEST)
    return answer.status_code, answer.json()["badRequest"]["message"]


def reasons(service: LocalService, job: str) -> dict[str, str]:
    return {host: task["reason"] for host, task in tasks(service, job).items()}


def test_service_that_is_down_at_the_request_is_named_and_nothing_is_stored(service, glance, number):
    image = glance.add(DATA)
    known = service.get("/v1/jobs")["jobs"]

    with glance.away():
        answer = refusal(service, number, image.id)

    assert answer == (400, f"Connection to glance host {glance.url} failed: Connection refused")
    assert service.get("/v1/jobs")["jobs"] == known


def test_service_that_goes_down_after_the_request_is_an_error_of_each_host(service, glance, number):
    image = glance.add(DATA, record_answers=[show_and_go_down])

    job = request(service, number, image.id)

    assert ended(service, job) == "failed"
    reason = f"Connection to glance host {glance.url} failed: Connection refused"
    assert reasons(service, job) == {"cmp-1": reason, "cmp-2": reason}
    with glance.away():
        pass  # and back, for the other tests


def test_service_that_is_down_for_a_moment_is_asked_again_for_the_record(service, glance, number):
    image = glance.add(DATA, record_answers=[show, status(503), show])

    job = request(service, number, image.id)

    assert ended(service, job) == "succeeded"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"status": "queued", "size": None}, "Image {} is not active: its status is queued."),
        ({"status": "deactivated"}, "Image {} is not active: its status is deactivated."),
        ({"disk_format": "luks"}, "Image {} has disk format luks, which cannot be cached."),
        ({"disk_format": None}, "Image {} has disk format None, which cannot be cached."),
    ],
)
def test_image_that_no_host_could_cache_is_refused_by_the_api(service, glance, number, record, message):
    good, bad = glance.add(DATA), glance.add(DATA, **record)

    answer = refusal(service, number, good.id, bad.id)

    assert answer == (400, message.format(bad.id))
    assert good.ranges == bad.ranges == []


def test_image_that_is_unknown_forbidden_or_named_twice_is_refused_by_the_api(service, glance, number):
    image, hidden = glance.add(DATA), glance.add(DATA, record_answers=[status(403)])

    answers = [refusal(service, number, image.id, other) for other in (UNKNOWN, hidden.id, image.id.upper())]

    assert answers == [
        (400, f"Image {UNKNOWN} could not be found."),
        (400, f"Not authorized for image {hidden.id}."),
        (400, "Duplicate images in request"),
    ]


def test_image_that_is_deactivated_after_the_request_is_an_error(service, glance, number):
    image = glance.add(DATA, record_answers=[show_and_change(status="deactivated"), show])

    job = request(service, number, image.id)

    assert ended(service, job) == "failed"
    reason = f"Image {image.id} is not active: its status is deactivated."
    assert reasons(service, job) == {"cmp-1": reason, "cmp-2": reason}
    assert image.ranges == []
