"""What a conversation in YAML cannot say: bytes that are no text, what happened behind the answer, the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import timedelta

import falcon.testing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precache.adapters.images_memory import MemoryImages
from precache.api.identity import noauth
from precache.core.images import Image, ImageId
from precache.core.work_context import current_work
from tests.http.world import DEBIAN, IMAGES, QUEUED, UBUNTU, World

VERSION = {"OpenStack-API-Version": "compute 2.81"}
IMAGES_PATH = "/compute/v2.1/os-aggregates/1/images"
CONFIRMED = {
    "HTTP_X_IDENTITY_STATUS": "Confirmed",
    "HTTP_X_USER_ID": "alice",
    "HTTP_X_PROJECT_ID": "p",
    "HTTP_X_ROLES": "admin",
}


@pytest.fixture
def world():
    return World()


@pytest.fixture
def client(world):
    return falcon.testing.TestClient(noauth(world.app))


def cache(client, *images, headers=VERSION):
    return client.simulate_post(IMAGES_PATH, json={"cache": [{"id": image} for image in images]}, headers=headers)


def test_accepted_request_is_stored_before_the_conductor_is_woken(world, client):
    answer = cache(client, UBUNTU, DEBIAN)

    job = world.jobs.get(answer.headers["X-Precache-Job-Id"])
    assert world.wakes == [1]
    assert job.images == (UBUNTU, DEBIAN)
    assert [task.host for task in world.jobs.list_tasks(job.id)] == ["cmp1", "cmp1", "cmp2", "cmp2", "cmp3", "cmp3"]
    assert job.request_id == answer.headers["x-openstack-request-id"]
    assert job.created_at == world.clock.now()


def test_a_request_to_cancel_is_stored_before_the_conductors_are_woken(world, client):
    job = cache(client, DEBIAN).headers["X-Precache-Job-Id"]
    world.jobs.claim("conductor", timedelta(minutes=1))
    world.wakes.clear()
    seen = []
    app = world.app_with(wake=lambda: seen.append(world.jobs.get(job).cancel_requested_at))

    answers = [falcon.testing.TestClient(noauth(app)).simulate_post(f"/v1/jobs/{job}/cancel") for _ in range(2)]

    # The second one also: the conductor that the first one woke may have died.
    assert seen == [world.clock.now()] * 2
    assert [answer.status_code for answer in answers] == [202, 202]


def test_a_job_that_ends_at_once_wakes_no_conductor(world, client):
    job = cache(client, DEBIAN).headers["X-Precache-Job-Id"]
    world.wakes.clear()

    assert client.simulate_post(f"/v1/jobs/{job}/cancel").json["job"]["state"] == "cancelled"
    assert world.wakes == []


def test_the_job_has_the_metadata_that_the_aggregate_has_now(world, client):
    world.inventory.set_metadata(1, {"availability_zone": "az"}, world.clock.now())

    answer = cache(client, UBUNTU)

    assert world.jobs.get(answer.headers["X-Precache-Job-Id"]).aggregate_metadata == {"availability_zone": "az"}


def test_refused_request_stores_nothing_and_wakes_no_conductor(world, client):
    answer = cache(client, DEBIAN, QUEUED)

    assert answer.status_code == 400
    assert world.jobs.list_jobs() == []
    assert world.wakes == []


def test_images_are_looked_up_with_the_token_of_the_caller(world):
    tokens = []

    class Catalog(MemoryImages):
        def find_listed(self, caller_token: str | None, images: Sequence[ImageId]) -> dict[ImageId, Image]:
            tokens.append(caller_token)
            return super().find_listed(caller_token, images)

        def show_to(self, caller_token: str | None, image: ImageId) -> Image:
            tokens.append(caller_token)
            return super().show_to(caller_token, image)

    client = falcon.testing.TestClient(noauth(world.app_with(images=Catalog(images=IMAGES, unlisted=[UBUNTU]))))
    cache(client, DEBIAN, UBUNTU, headers=VERSION | {"X-Auth-Token": "alice:her-project"})

    assert tokens == ["alice:her-project"] * 2  # once for both, and once for the one that no list shows


def test_body_that_is_no_utf8_is_malformed(client):
    answer = client.simulate_post("/compute/v2.1/os-aggregates", body=b'{"aggregate": {"name": "caf\xe9"}}')

    assert answer.status_code == 400
    assert answer.json["badRequest"]["message"] == "Malformed request body"


@pytest.mark.parametrize("length", ["-1", "many"])
def test_content_length_that_is_no_number_is_refused(world, length):
    environ = falcon.testing.create_environ("/v1/jobs") | {"CONTENT_LENGTH": length}
    started = falcon.testing.StartResponseMock()

    body = b"".join(noauth(world.app)(environ, started))

    assert started.status.startswith("400")
    assert json.loads(body)["error"]["code"] == "precache.request.malformed_header"


def test_bug_is_logged_once_with_its_traceback_and_not_shown(world, caplog):
    class Defective:
        def list_jobs(self, **_):
            raise RuntimeError("secret: hunter2")

    client = falcon.testing.TestClient(noauth(world.app_with(queries=Defective())))
    answer = client.simulate_get("/v1/jobs")

    records = [record for record in caplog.records if record.exc_info]
    assert len(records) == 1
    assert answer.headers["x-openstack-request-id"] in records[0].getMessage()
    assert "hunter2" in caplog.text
    assert "hunter2" not in answer.text


def ids_of_lines(caplog):
    """Return a list that grows with each line: the ids of the request that it was written for."""
    ids = []

    def note(record):
        if record.name == "precache.api" and (work := current_work()):
            ids.append((work.request_id, work.global_request_id))
        return True

    caplog.handler.addFilter(note)
    return ids


def test_log_has_the_request_id_of_the_outer_service(client, caplog):
    caplog.set_level(logging.INFO, logger="precache.api")
    outer = "req-00000000-0000-4000-8000-000000000000"

    ids = ids_of_lines(caplog)

    answer = client.simulate_get("/v1/hosts", headers={"X-OpenStack-Request-ID": outer})
    client.simulate_get("/v1/hosts")

    assert ids[0] == (answer.headers["x-openstack-request-id"], outer)
    assert ids[1] != ids[0]
    assert ids[1][1] is None
    assert current_work() is None


def test_log_does_not_repeat_an_invalid_request_id(client, caplog):
    caplog.set_level(logging.INFO, logger="precache.api")

    ids = ids_of_lines(caplog)

    client.simulate_get("/v1/hosts", headers={"X-OpenStack-Request-ID": "req-forged and more"})

    assert [outer for _, outer in ids] == [None]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just(DEBIAN),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["cache", "id", "aggregate", "name"]) | st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)
ANYTHING = st.binary(max_size=50) | JSON.map(lambda document: json.dumps(document).encode())
PATHS = [
    ("POST", IMAGES_PATH),
    ("POST", "/compute/v2.1/os-aggregates"),
    ("PUT", "/compute/v2.1/os-aggregates/1"),
    ("POST", "/compute/v2.1/os-aggregates/1/action"),
    ("PUT", "/v1/hosts/cmp1"),
]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=st.sampled_from(PATHS), body=ANYTHING)
def test_no_body_whatever_makes_the_service_fail(client, target, body):
    method, path = target

    answer = client.simulate_request(method, path, body=body, headers=VERSION)

    assert answer.status_code < 500


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(aggregate=st.text(min_size=1, max_size=20), query=st.text(max_size=20))
def test_no_path_whatever_makes_the_service_fail(client, aggregate, query):
    for prefix in ("/compute/v2.1/os-aggregates/", "/v1/jobs/", "/v1/hosts/"):
        answer = client.simulate_get(prefix + aggregate.replace("?", "").encode("utf-8", "replace").decode())
        assert answer.status_code < 500
    assert client.simulate_get("/v1/jobs", params={"marker": query.encode("utf-8", "replace")}).status_code < 500


class Untouchable:
    """A body that must not be read."""

    def read(self, _size=None):
        raise AssertionError("the body was read")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", IMAGES_PATH, {"HTTP_X_IDENTITY_STATUS": "Invalid"}, 401),
        ("PUT", "/v1/hosts/cmp1", {}, 401),
        ("POST", "/nowhere", CONFIRMED, 404),
        ("PATCH", "/v1/hosts/cmp1", CONFIRMED, 405),
        ("POST", IMAGES_PATH, CONFIRMED | {"HTTP_OPENSTACK_API_VERSION": "compute 9.9"}, 406),
        ("POST", IMAGES_PATH, CONFIRMED | {"CONTENT_LENGTH": "99999"}, 413),
        ("POST", IMAGES_PATH, CONFIRMED | {"CONTENT_TYPE": "application/xml"}, 415),
        ("GET", "/healthcheck", {}, 200),
        ("GET", "/v1/jobs", CONFIRMED, 200),
    ],
)
@pytest.mark.parametrize("announced", [{"CONTENT_LENGTH": "500"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_what_is_answered_without_the_body_is_answered_before_it_came(world, method, path, headers, status, announced):
    environ = falcon.testing.create_environ(path, method=method) | announced | headers | {"wsgi.input": Untouchable()}
    if status == 413 and "HTTP_TRANSFER_ENCODING" in announced:
        del environ["HTTP_TRANSFER_ENCODING"]
    started = falcon.testing.StartResponseMock()

    b"".join(world.app(environ, started))

    assert started.status.startswith(str(status))
