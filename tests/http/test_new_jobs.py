"""Requests for jobs: the table of bad values, and requests that are too long to be read in a conversation."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import falcon.testing
import pytest

from precache.adapters.images_memory import MemoryImages
from precache.api.handlers.job_plans import PLANS_AT_ONCE
from precache.api.handlers.named_images import MOST_IMAGE_NAMES
from precache.api.handlers.views import rfc3339
from precache.api.identity import noauth
from precache.core.host_survey import Survey
from precache.core.hosts import Heartbeat
from precache.core.job_options import JobOptions
from precache.core.jobs import HostAsked, HostEnded, JobState, Outcome, TaskResult
from precache.core.operations import Operation
from tests.http.world import (
    DEACTIVATED,
    DEBIAN,
    FORBIDDEN,
    IMAGES,
    KERNEL,
    LIKE_AN_ID,
    QUEUED,
    RAMDISK,
    UBUNTU,
    UNKNOWN,
    World,
)

IMAGE = {"image": "debian-12"}
GOOD = {"images": [IMAGE], "target": {"hosts": ["cmp1"]}}


@pytest.fixture
def world():
    return World(max_body_bytes=500_000)


@pytest.fixture
def client(world):
    return falcon.testing.TestClient(noauth(world.app))


LATER = "2026-01-01T20:00:00Z"
FIELD = "Invalid input for field/attribute"
MANY_X, MANY_X_QUOTED = "x" * 200 + "... (201 characters)", f"'{'x' * 200}'... (201 characters)"
HOURS = {"from": "02:00", "to": "05:00"}


def target(**parts):
    return GOOD | {"target": parts}


def limited(rate):
    return [GOOD | {"rate_limit_bytes_per_s": rate}, GOOD | {"images": [IMAGE | {"rate_limit_bytes_per_s": rate}]}]


OF_AN_IMAGE = {"rate_limit_bytes_per_s": 7, "keep_for_s": 60, "keep_until": LATER, "even_pinned": True, "base": UBUNTU}

# In the order of the document: the field, and what it must not be.
INVALID = [
    *[(f"body {body!r}", body) for body in ({}, [], "text", None)],
    *[(f"name {name!r}", GOOD | {"name": name}) for name in ("", " a", "a ", "a\nb", "x" * 256, 7, None, ["a"])],
    *[(f"images {images!r}", GOOD | {"images": images}) for images in ([], {}, None, ["debian-12"], [{}], [None])],
    *[(f"image {image!r}", GOOD | {"images": [{"image": image}]}) for image in ("", "x" * 256, 7, None, {})],
    *[(f"target {wrong!r}", GOOD | {"target": wrong}) for wrong in (None, [], "edge", {"aggregate": ["edge"]})],
    *[
        (f"{part} {wrong!r}", target(**{part: wrong}))
        for part in ("aggregates", "cells", "hosts", "exclude_hosts")
        for wrong in (None, "cmp1", {}, [7], [""], [None], ["x" * 256])
    ],
    *[
        (f"rate {rate!r}", body)
        for rate in (0, -1, "20M", True, False, 2.0, 2.5, None, [], 10**12 + 1, 10**400)
        for body in limited(rate)
    ],
    *[
        (f"priority {value!r}", body)
        for value in (-1, 101, "50", True, 50.5, None, [])
        for body in (GOOD | {"priority": value}, GOOD | {"images": [IMAGE | {"priority": value}]})
    ],
    *[
        (f"notify_url {url!r}", GOOD | {"notify_url": url})
        for url in ("", 7, None, [], {}, "x", "https://hooks.example/in/" + "x" * 2000, "http://hooks.example/in")
    ],
    *[
        (f"{field} {value!r}", GOOD | {field: value})
        for field, values in {
            "parallelism": (0, -1, 10_001, 1.5, "20", True, None),
            "parallelism_per_site": (0, -1, 10_001, None),
            "job_rate_limit_bytes_per_s": (0, -1, 10**12 + 1, "20M", None),
            "jitter_s": (-1, 86_401, 0.5, "1m", None),
            "retries": (-1, 11, 1.5, None),
            "when_down": ("hope", "", None, True),
            "transfer": ("hope", "", None, True),
            "canary": ({}, {"hosts": 0}, {"percent": 101}, {"hosts": 2, "percent": 10}, {"share": 1}, 2, "10%", None),
            "not_before": ("2036-01-03T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T20:00:00", "", 7, None),
            "deadline": ("2026-01-01T00:05:00Z", "2020-01-01T00:00:00Z", "tomorrow", "", 7, None),
            "window": (
                *({}, HOURS | {"to": "02:00"}, {"from": "02:00"}, HOURS | {"from": "24:00"}, HOURS | {"to": "5"}, None),
                *(HOURS | {"days": days} for days in ([], ["monday"], ["mon"] * 8, "mon", None)),
                *(HOURS | {"time_zone": zone} for zone in ("Europe/Pari", "localtime", "", "x" * 65, "../UTC", None)),
                HOURS | {"until": "05:00"},
            ),
        }.items()
        for value in values
    ],
    ("not_before at the deadline", GOOD | {"not_before": LATER, "deadline": LATER}),
    *[(f"operation {operation!r}", GOOD | {"operation": operation}) for operation in ("erase", "", None, 7)],
    *[
        (f"keep_for_s {value!r}", GOOD | {"images": [IMAGE | {"keep_for_s": value}]})
        for value in (0, -1, 316_224_001, 10**400, 1.5, "7d", True, None, [])
    ],
    ("keep_for_s of a job", GOOD | {"keep_for_s": 60}),
    *[
        (f"keep_until {value!r}", GOOD | {"images": [IMAGE | {"keep_until": value}]})
        for value in ("2026-01-01T00:05:00Z", "2036-02-01T00:00:00Z", "2030-01-01T00:00:00", "7d", "", 7, None)
    ],
    ("two ends of a pin", GOOD | {"images": [IMAGE | {"keep_for_s": 60, "keep_until": LATER}]}),
    *[
        (f"even_pinned {value!r}", GOOD | {"operation": "purge", "images": [IMAGE | {"even_pinned": value}]})
        for value in (1, "true", None)
    ],
    *[
        (f"base {value!r}", GOOD | {"images": [IMAGE | {"base": value}]})
        for value in ("", "debian-11", "x" * 36, 7, None, [UBUNTU])
    ],
    ("base of a job", GOOD | {"base": UBUNTU}),
    *[
        (f"{operation} with {name}", GOOD | {"operation": operation, "images": [IMAGE | {name: value}]})
        for operation, names in {
            "cache": ("even_pinned",),
            "verify": ("keep_for_s", "keep_until", "even_pinned", "base"),
            "purge": ("rate_limit_bytes_per_s", "keep_for_s", "keep_until", "base"),
            "pin": ("rate_limit_bytes_per_s", "even_pinned", "base"),
            "unpin": ("rate_limit_bytes_per_s", "keep_for_s", "keep_until", "even_pinned", "base"),
        }.items()
        for name in names
        for value in [OF_AN_IMAGE[name]]
    ],
    *[
        (f"{operation} with job_rate_limit", GOOD | {"operation": operation, "job_rate_limit_bytes_per_s": 7})
        for operation in ("purge", "pin", "unpin")
    ],
]


@pytest.mark.parametrize("body", [body for _, body in INVALID], ids=[what[:60] for what, _ in INVALID])
def test_an_invalid_value_is_refused_and_stores_nothing(world, client, body):
    answer = client.simulate_post("/v1/jobs", json=body)

    assert (answer.status_code, answer.json["error"]["code"]) == (400, "precache.request.invalid")
    assert world.jobs.list_jobs() == []
    assert world.wakes == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"parallelism": 0},
            "Invalid input for field/attribute parallelism. Value: 0. 0 is less than the minimum of 1",
        ),
        (
            {"window": HOURS | {"days": ["monday"]}},
            "Invalid input for field/attribute days. Value: monday. 'monday' is not one of ['mon', 'tue', 'wed', "
            "'thu', 'fri', 'sat', 'sun']",
        ),
        ({"canary": {}}, 'canary must be either {"hosts": N} or {"percent": P}, not {}'),
        (
            {"canary": {"hosts": 2, "percent": 10}},
            'canary must be either {"hosts": N} or {"percent": P}, not {"hosts": 2, "percent": 10}',
        ),
        ({"notify_url": "x" * 2001}, f"{FIELD} notify_url. It has 2001 characters; at most 2000 are allowed."),
        (
            {"when_down": "x" * 201},
            f"{FIELD} when_down. Value: {MANY_X}. {MANY_X_QUOTED} is not one of ['skip', 'wait']",
        ),
        ({"canary": {"hosts": True}}, f"{FIELD} hosts. Value: true. true is not of type 'integer'"),
        ({"window": HOURS | {"days": ["mon"] * 8}}, f"{FIELD} days. It has 8 items; at most 7 are allowed."),
        ({"x" * 9999: 1}, "Additional properties are not allowed ('" + "x" * 160 + "... (10056 characters)"),
        (
            {"window": HOURS, "deadline": "2026-01-01T02:00:00Z"},
            "The window never opens before the deadline, 2026-01-01T02:00:00Z: its next opening is at "
            "2026-01-01T02:00:00Z; choose a later deadline or another window",
        ),
    ],
)
def test_a_refusal_names_the_field_and_what_it_may_be(client, fields, message):
    assert client.simulate_post("/v1/jobs", json=GOOD | fields).json["error"]["message"] == message


@pytest.mark.parametrize("field", ["images", "target"])
def test_a_missing_field_is_named(client, field):
    body = {name: value for name, value in GOOD.items() if name != field}

    answer = client.simulate_post("/v1/jobs", json=body)

    assert (answer.status_code, answer.json["error"]["message"]) == (400, f"{field!r} is a required property")


def test_of_ten_thousand_unknown_hosts_the_first_twenty_are_named(world, client):
    names = [f"host-{number}" for number in range(10_000)]

    answer = client.simulate_post("/v1/jobs", json=target(hosts=["cmp1", *names]))

    error = answer.json["error"]
    assert (answer.status_code, error["code"]) == (400, "precache.target.host_not_found")
    assert (error["names"], error["more"]) == (names[:20], 9_980)
    assert error["message"] == f"Compute hosts {', '.join(names[:20])} and 9980 more could not be found."
    assert world.jobs.list_jobs() == []


def test_ten_thousand_hosts_are_one_job(world, client):
    names = [f"host-{number}" for number in range(10_000)]
    world.inventory.store_heartbeats([Heartbeat(name, "cell3", "fake", world.clock.now()) for name in names])

    answer = client.simulate_post("/v1/jobs", json=target(hosts=names, exclude_hosts=names[:1]))

    assert (answer.status_code, answer.json["job"]["task_count"]) == (202, 9_999)


def test_the_tasks_are_on_the_hosts_that_are_left_in_the_order_of_the_target(world, client):
    body = target(hosts=["cmp3", "cmp1"], aggregates=["edge"], cells=["cell1"], exclude_hosts=["cmp2"])

    job = client.simulate_post("/v1/jobs", json=body).json["job"]["id"]

    assert [task.host for task in world.jobs.list_tasks(job)] == ["cmp1", "cmp3"]
    assert world.wakes == [1]


def test_an_image_by_name_is_stored_by_its_id(world, client):
    body = GOOD | {"images": [{"image": "ubuntu"}, {"image": DEBIAN}]}

    job = client.simulate_post("/v1/jobs", json=body).json["job"]["id"]

    assert world.jobs.get(job).images == (UBUNTU, DEBIAN)
    assert world.jobs.get(job).image_names == {UBUNTU: "ubuntu", DEBIAN: "debian-12"}


def test_of_unknown_images_twenty_are_looked_for(client):
    body = GOOD | {"images": [{"image": f"image-{number}"} for number in range(30)]}

    error = client.simulate_post("/v1/jobs", json=body).json["error"]

    assert error["names"] == [f"image-{number}" for number in range(20)]


def test_more_names_of_images_than_are_looked_up_are_refused(client):
    body = GOOD | {"images": [{"image": f"image-{number}"} for number in range(MOST_IMAGE_NAMES + 1)]}

    answer = client.simulate_post("/v1/jobs", json=body)

    assert answer.status_code == 400
    assert answer.json["error"]["message"] == (
        "The request gives 101 images by name; give at most 100 by name, the others by id."
    )


def test_a_repeated_request_gets_its_job_even_if_its_image_is_gone_and_wakes_no_conductor(world, client):
    headers = {"Idempotency-Key": "k"}
    first = client.simulate_post("/v1/jobs", json=GOOD, headers=headers)
    world.wakes.clear()
    app = world.app_with(images=MemoryImages(images={}))

    again = falcon.testing.TestClient(noauth(app)).simulate_post("/v1/jobs", json=GOOD, headers=headers)

    assert (again.status_code, again.json) == (202, first.json)
    assert again.headers["Location"] == first.headers["Location"]
    assert world.wakes == []


@pytest.mark.parametrize("key", ["x" * 256, "a b", "\xe9", "\x7f", ""])
def test_a_key_of_other_characters_is_refused(world, key):
    body = json.dumps(GOOD).encode()
    environ = falcon.testing.create_environ("/v1/jobs", method="POST", body=body) | {"HTTP_IDEMPOTENCY_KEY": key}
    started = falcon.testing.StartResponseMock()

    answer = json.loads(b"".join(noauth(world.app)(environ, started)))

    assert (started.status[:3], answer["error"]["code"]) == ("400", "precache.request.malformed_header")
    assert world.jobs.list_jobs() == []


def test_a_job_has_the_name_of_an_image_as_one_line(world):
    image, data = IMAGES[DEBIAN]
    named = replace(image, name="new\nline\x1b" + "x" * 300)
    app = world.app_with(images=MemoryImages(images={DEBIAN: (named, data)}))
    client = falcon.testing.TestClient(noauth(app))

    answer = client.simulate_post("/v1/jobs", json=GOOD | {"images": [{"image": DEBIAN}]})

    [name] = answer.json["job"]["image_names"].values()
    assert name == "new line " + "x" * 246


def test_images_come_by_priority_and_else_in_the_order_of_the_request(world, client):
    images = [{"image": "ubuntu"}, {"image": "kernel", "priority": 10}, {"image": "debian-12", "priority": 80}]

    job = client.simulate_post("/v1/jobs", json=GOOD | {"images": [*images, {"image": LIKE_AN_ID}]}).json["job"]

    assert job["images"] == [DEBIAN, KERNEL, UBUNTU, LIKE_AN_ID]
    assert job["orders"][0] == {"image": DEBIAN, "priority": 80}
    assert job["orders"][2] == {"image": UBUNTU}


def test_a_kernel_has_the_place_of_the_image_that_names_it(client):
    images = [{"image": "ubuntu"}, {"image": "pair-0", "priority": 80}]

    job = client.simulate_post("/v1/jobs", json=GOOD | {"images": images}).json["job"]

    assert [order["image"] for order in job["orders"]][1:] == [KERNEL, RAMDISK, UBUNTU]
    assert [order.get("priority") for order in job["orders"]] == [80, 80, 80, None]


def test_a_job_has_the_default_of_each_option(client):
    job = client.simulate_post("/v1/jobs", json=GOOD).json["job"]

    assert (job["priority"], job["parallelism"], job["jitter_s"], job["when_down"]) == (50, None, 0, "skip")
    assert job["transfer"] == "auto"
    assert (job["window"], job["deadline"], job["due_at"], job["reason"]) == (None, None, None, "")


def test_a_job_is_stored_with_its_priority(world, client):
    job = client.simulate_post("/v1/jobs", json=GOOD | {"priority": 80}).json["job"]

    assert job["priority"] == 80
    assert world.jobs.get(job["id"]).options.priority == 80


class SlowSurvey:
    """The port `CacheSurvey`: answers when it is told to."""

    def __init__(self):
        self.asked, self.go_on = threading.Semaphore(0), threading.Event()

    def ask(self, hosts, images):
        self.asked.release()
        assert self.go_on.wait(30)
        return Survey({}, 1)


def test_only_some_plans_are_made_at_once_and_the_next_may_be_asked_for_later(world):
    survey = SlowSurvey()
    client = falcon.testing.TestClient(noauth(world.app_with(survey=survey)))

    def plan():
        return client.simulate_post("/v1/jobs?dry_run=true", json=GOOD)

    with ThreadPoolExecutor(PLANS_AT_ONCE) as threads:
        running = [threads.submit(plan) for _ in range(PLANS_AT_ONCE)]
        for _ in running:
            assert survey.asked.acquire(timeout=30)
        refused = plan()
        survey.go_on.set()
        answers = [each.result() for each in running]

    assert (refused.status_code, refused.json["error"]["code"]) == (503, "precache.plan.too_many")
    assert [answer.status_code for answer in (*answers, plan())] == [200] * (PLANS_AT_ONCE + 1)


def run_a_job(world, client, *, seconds):
    """Have a job run in which a host downloads 400 bytes in this time."""
    client.simulate_post("/v1/jobs", json=GOOD)
    job = world.jobs.claim("conductor", timedelta(minutes=1))
    now = world.clock.now()
    cached = TaskResult(DEBIAN, Outcome.CACHED, 400, "", now, now + timedelta(seconds=seconds))
    world.jobs.record(job.claim, [HostAsked("cmp1", "cell1", (DEBIAN,), now), HostEnded("cmp1", (cached,), now)])
    world.jobs.finish(job.claim, JobState.SUCCEEDED)


def test_a_plan_wakes_no_conductor_and_its_time_comes_from_earlier_jobs(world, client):
    run_a_job(world, client, seconds=200)
    world.wakes.clear()

    answer = client.simulate_post("/v1/jobs?dry_run=true", json=GOOD | {"images": [{"image": UBUNTU}]})

    plan = answer.json["plan"]
    assert (plan["bytes_to_move"], plan["estimate"]["seconds"]) == (4, 2.0)
    assert (plan["estimate"]["measured_tasks"], plan["estimate"]["measured_jobs"]) == (1, 1)
    assert plan["groups"][0]["rate_bytes_per_s"] == 2
    assert (world.wakes, len(world.jobs.list_jobs())) == ([], 1)


@pytest.mark.parametrize("operation", Operation)
def test_a_job_has_the_operation_of_its_request(world, client, operation):
    job = client.simulate_post("/v1/jobs", json=GOOD | {"operation": operation}).json["job"]

    assert (job["operation"], job["image_names"]) == (operation, {DEBIAN: "debian-12"})
    assert world.jobs.get(job["id"]).operation is operation
    found = [
        [each["id"] for each in client.simulate_get("/v1/jobs", params={"operation": one}).json["jobs"]]
        for one in Operation
    ]
    assert found == [[job["id"]] if one is operation else [] for one in Operation]


@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("cache", {"keep_until": LATER}),
        ("verify", {"rate_limit_bytes_per_s": 7}),
        ("purge", {"even_pinned": True}),
        ("pin", {"keep_for_s": 60}),
        ("pin", {"keep_until": LATER}),
    ],
)
def test_an_order_has_the_options_that_its_operation_takes(client, operation, options):
    body = GOOD | {"operation": operation, "images": [IMAGE | options]}

    job = client.simulate_post("/v1/jobs", json=body).json["job"]

    assert job["orders"] == [{"image": DEBIAN, **options}]


def test_a_field_of_another_operation_is_refused_with_those_that_take_it(client):
    body = GOOD | {"operation": "purge", "images": [IMAGE | {"keep_for_s": 60}]}

    error = client.simulate_post("/v1/jobs", json=body).json["error"]

    assert error["message"] == "keep_for_s must be left out with the operation purge (cache and pin take it), not 60"


OTHERS = [operation for operation in Operation if operation is not Operation.CACHE]


@pytest.mark.parametrize("operation", OTHERS)
@pytest.mark.parametrize("image", [UNKNOWN, FORBIDDEN, DEACTIVATED, QUEUED])
def test_what_is_in_caches_needs_no_active_image(client, operation, image):
    body = GOOD | {"operation": operation, "images": [{"image": image.upper()}]}

    answer = client.simulate_post("/v1/jobs", json=body)

    assert (answer.status_code, answer.json["job"]["images"]) == (202, [image])


@pytest.mark.parametrize("operation", OTHERS)
def test_an_image_that_is_gone_and_that_no_host_has_reported_is_not_found_by_its_name(client, operation):
    answer = client.simulate_post("/v1/jobs", json=GOOD | {"operation": operation, "images": [{"image": "gone"}]})

    assert (answer.status_code, answer.json["error"]["names"]) == (400, ["gone"])
    assert "could not be found, and no host has reported" in answer.json["error"]["message"]


@pytest.mark.parametrize("operation", OTHERS)
def test_only_a_purge_leaves_kernel_and_ramdisk(client, operation):
    job = client.simulate_post(
        "/v1/jobs", json=GOOD | {"operation": operation, "images": [{"image": "pair-0"}, {"image": "pair-2"}]}
    ).json["job"]

    names = [job["image_names"][image] for image in job["images"]]
    assert names == (
        ["pair-0", "pair-2"] if operation is Operation.PURGE else ["pair-0", "kernel", "ramdisk", "pair-2"]
    )
    assert all(set(order) == {"image"} for order in job["orders"])


@pytest.mark.parametrize("number", [3, 5, 6], ids=["deactivated kernel", "a disk as kernel", "forbidden ramdisk"])
def test_a_kernel_that_the_image_service_does_not_show_keeps_nothing_from_being_pinned(client, number):
    job = client.simulate_post(
        "/v1/jobs", json=GOOD | {"operation": "pin", "images": [{"image": f"pair-{number}"}]}
    ).json["job"]

    assert job["images"][1:] == ([KERNEL] if number == 6 else [])


@pytest.mark.parametrize("operation", ["purge", "pin", "unpin"])
@pytest.mark.parametrize("field", ["rate_limit_bytes_per_s", "job_rate_limit_bytes_per_s"])
def test_a_job_that_reads_nothing_gets_no_rate(client, operation, field):
    job = client.simulate_post("/v1/jobs", json=GOOD | {"operation": operation}).json["job"]

    refused = client.simulate_patch(f"/v1/jobs/{job['id']}", json={field: 7})
    changed = client.simulate_patch(f"/v1/jobs/{job['id']}", json={"parallelism": 7, field: None})

    assert (refused.status_code, refused.json["error"]["code"]) == (400, "precache.request.invalid")
    assert (changed.status_code, changed.json["job"]["parallelism"]) == (200, 7)


def test_every_option_is_stored_and_shown(world, client):
    options = {
        "priority": 80,
        "parallelism": 20,
        "parallelism_per_site": 4,
        "job_rate_limit_bytes_per_s": 200_000_000,
        "jitter_s": 60,
        "not_before": "2026-12-04T20:00:00.000000Z",
        "deadline": "2026-12-08T04:00:00.000000Z",
        "window": {"days": ["mon", "tue"], "from": "02:00", "to": "05:00", "time_zone": "Europe/Paris"},
        "retries": 2,
        "when_down": "wait",
        "transfer": "swarm",
        "canary": {"percent": 10},
    }

    job = client.simulate_post("/v1/jobs", json=GOOD | options).json["job"]

    assert {name: job[name] for name in options} == options
    assert world.jobs.get(job["id"]).options == JobOptions.read(options)
    assert (job["state"], job["due_at"]) == ("waiting", "2026-12-07T01:00:00.000000Z")
    assert job["reason"] == "Its window opens at 2026-12-07T01:00:00Z."


@pytest.mark.parametrize(
    ("options", "state", "due_at"),
    [
        ({"not_before": LATER}, "waiting", "2026-01-01T20:00:00.000000Z"),
        ({"not_before": "2020-01-01T00:00:00Z"}, "queued", None),
        ({"window": {"from": "00:00", "to": "01:00"}}, "queued", None),
        ({"window": HOURS}, "waiting", "2026-01-01T02:00:00.000000Z"),
        ({"window": HOURS, "not_before": LATER}, "waiting", "2026-01-02T02:00:00.000000Z"),
    ],
)
def test_a_job_waits_until_it_may_begin(world, client, options, state, due_at):
    job = client.simulate_post("/v1/jobs", json=GOOD | options).json["job"]

    assert (job["state"], job["due_at"]) == (state, due_at)


def test_a_window_that_never_opens_before_the_deadline_is_refused(world, client):
    answer = client.simulate_post("/v1/jobs", json=GOOD | {"window": HOURS, "deadline": "2026-01-01T02:00:00Z"})

    assert (answer.status_code, answer.json["error"]["code"]) == (400, "precache.job.window_never_opens")
    assert world.jobs.list_jobs() == []


def test_a_repeated_request_gets_its_job_after_the_deadline(world, client):
    body, key = GOOD | {"deadline": LATER}, {"Idempotency-Key": "rollout-1"}
    first = client.simulate_post("/v1/jobs", json=body, headers=key).json["job"]
    world.clock.advance(timedelta(days=1))

    again = client.simulate_post("/v1/jobs", json=body, headers=key)

    assert (again.status_code, again.json["job"]["id"]) == (202, first["id"])


def test_a_plan_says_when_the_job_would_begin_and_whether_its_deadline_can_be_met(world, client):
    now = world.clock.now()
    body = GOOD | {
        "images": [{"image": "ubuntu"}],
        "not_before": rfc3339(now + timedelta(hours=1)),
        "deadline": rfc3339(now + timedelta(hours=2)),
    }

    unmeasured = client.simulate_post("/v1/jobs?dry_run=true", json=body).json["plan"]["estimate"]
    run_a_job(world, client, seconds=1000 * 400)  # then the four bytes of an image take 4000 seconds
    late = client.simulate_post("/v1/jobs?dry_run=true", json=body).json["plan"]["estimate"]
    in_time = client.simulate_post(
        "/v1/jobs?dry_run=true", json=body | {"deadline": rfc3339(now + timedelta(hours=3))}
    ).json["plan"]["estimate"]

    begin = {rfc3339(now + timedelta(hours=1))}
    assert {each["begins_at"] for each in (unmeasured, late, in_time)} == begin
    assert [each["seconds"] for each in (unmeasured, late, in_time)] == [None, 4000, 4000]
    assert [each["meets_deadline"] for each in (unmeasured, late, in_time)] == [None, False, True]
    assert in_time["ends_at"] == rfc3339(now + timedelta(hours=1, seconds=4000))


@pytest.mark.parametrize("keep_for_s", [1, 604_800, 316_224_000])
def test_the_time_for_which_an_image_is_kept_is_an_option_of_its_order(world, client, keep_for_s):
    images = [{"image": "debian-12", "priority": 10, "keep_for_s": keep_for_s}, {"image": UBUNTU}]

    answer = client.simulate_post("/v1/jobs", json=GOOD | {"images": images})

    assert answer.status_code == 202
    (stored,) = world.jobs.list_jobs()
    assert [(order.image, order.options.keep_for_s) for order in stored.orders] == [
        (DEBIAN, keep_for_s),
        (UBUNTU, None),
    ]
    shown = client.simulate_get(f"/v1/jobs/{stored.id}").json["job"]["orders"]
    assert shown == [{"image": DEBIAN, "priority": 10, "keep_for_s": keep_for_s}, {"image": UBUNTU}]


def test_the_older_image_is_an_option_of_the_order_and_not_of_its_kernel(world, client):
    job = client.simulate_post("/v1/jobs", json=GOOD | {"images": [{"image": "pair-0", "base": UBUNTU.upper()}]})

    orders = client.simulate_get(f"/v1/jobs/{job.json['job']['id']}").json["job"]["orders"]
    assert [order.get("base") for order in orders] == [UBUNTU, None, None]


def test_a_caller_who_may_cache_images_may_do_nothing_else_with_them_without_a_rule(tmp_path):
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text('"precache:jobs:create": "role:filler"\n"precache:images:verify": "role:filler"\n')
    client = falcon.testing.TestClient(noauth(World(policy_file=policy_file).app))

    answers = {
        operation: client.simulate_post(
            "/v1/jobs", json=GOOD | {"operation": operation.value}, headers={"X-Roles": "filler"}
        )
        for operation in Operation
    }

    allowed = {operation for operation, answer in answers.items() if answer.status_code == 202}
    assert allowed == {Operation.CACHE, Operation.VERIFY}
    assert "precache:images:purge" in answers[Operation.PURGE].json["error"]["message"]
