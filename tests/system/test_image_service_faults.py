"""An image service whose transfers break, stall or are wrong: the user's errors, and the files on the host."""

from __future__ import annotations

import io
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from precache.cli.app import PrecacheApp
from tests.system.conftest import MIB, qcow2
from tests.system.glance_answers import (
    cut_at,
    from_the_start,
    garbage,
    hung_up,
    only,
    stalled_at,
    status,
    whole,
    with_flipped_bit,
    with_surplus,
    without_length,
)  # fmt: skip
from tests.system.operating import aggregate, ended, entry, outcomes, request
from tests.system.played_glance import PlayedGlance, PlayedImage
from tests.system.serving import serving
from tools.local_service import LocalService

pytestmark = pytest.mark.system

DATA = random.Random(7).randbytes(3 * MIB + 1000)
SIZE = len(DATA)
CUT = MIB + 77
AGAIN = f"bytes={CUT}-"


@pytest.fixture(scope="module")
def glance() -> Iterator[PlayedGlance]:
    with PlayedGlance() as played:
        yield played


@pytest.fixture(scope="module")
def service(glance: PlayedGlance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    environment = {
        "OS_GLANCE__ENDPOINT_OVERRIDE": glance.url,
        "OS_GLANCE__READ_TIMEOUT": "1",
        "OS_GLANCE__NUM_RETRIES": "1",
        "OS_CONDUCTOR__JOBS_AT_ONCE": "32",
        "OS_IMAGE_CACHE__PRECACHE_CONCURRENCY": "32",
    }
    with serving(
        tmp_path_factory.mktemp("faults"), hosts="cell1:cmp-1,cell2:cmp-2", environment=environment
    ) as running:
        yield running


@pytest.fixture(scope="module")
def one_host(service: LocalService) -> int:
    return aggregate(service, "cmp-1", name="one")


@pytest.fixture(scope="module")
def two_hosts(service: LocalService) -> int:
    return aggregate(service, "cmp-1", "cmp-2", name="two")


def task_of(service: LocalService, job: str, image: PlayedImage) -> dict[str, Any]:
    found = service.get(f"/v1/jobs/{job}/tasks")["tasks"]
    (task,) = [task for task in found if task["image"] == image.id]
    return dict(task)


def table_of(service: LocalService, job: str) -> str:
    """Return the job as a person sees it."""
    out = io.StringIO()
    PrecacheApp(environ={"PRECACHE_URL": service.url}, stdout=out, stderr=io.StringIO()).run(["job", "show", job])
    return out.getvalue()


def files_of(service: LocalService, image: PlayedImage) -> list[Path]:
    """Return whatever there is of the image in any cache: entry, download, conversion."""
    return list(service.state.glob(f"hosts/*/instances/_base/{entry(service, 'any', image.id).name}*"))


# What ends in `error`: the answers to the requests for data, the reason, and the ranges that were asked for.
FAILURES = {
    "500": ([status(500)], r"glance host http://127.* failed: HTTP status 500", [None] * 2),
    "401": ([status(401)], r"Not authorized for image", [None]),
    "deleted meanwhile": ([status(404)], r"could not be found", [None]),
    "redirect": ([status(302, Location="/x")], r"HTTP status 302 \(a redirect\); correct the endpoint", [None] * 2),
    "another protocol": ([garbage], r"glance host http://127.* failed: SSH-2.0-OpenSSH_9.2$", [None] * 2),
    "hang-up instead of an answer": ([hung_up], r"glance host http://127.* failed: Remote end closed", None),
    "no data": ([status(204)], r"has no associated data", [None]),
    "cut off for ever": ([cut_at(CUT)], rf"ended after {CUT} of {SIZE} bytes: .*closed before the end", [None, AGAIN]),
    "silent for ever": ([stalled_at(CUT)], rf"ended after {CUT} of {SIZE} bytes: no data arrived", [None, AGAIN]),
    "too short": ([only(CUT)], rf"ended after {CUT} of {SIZE} bytes: the data ended early", [None, AGAIN, None]),
    "too long": ([with_surplus(b"more")], rf"more than the announced {SIZE} bytes", [None] * 2),
    "other data": ([with_flipped_bit], r"does not match its digest: expected sha256:", [None] * 2),
}  # fmt: skip

# Cases that succeed in spite of the fault: the answers, and the ranges.
RECOVERIES = {
    "cut off once": ([cut_at(CUT), whole], [None, AGAIN]),
    "cut off before the first byte": ([cut_at(0), whole], [None, None]),
    "cut off again and again": (
        [cut_at(MIB), cut_at(2 * MIB), whole], [None, f"bytes={MIB}-", f"bytes={2 * MIB}-"]
    ),
    "silent once": ([stalled_at(CUT), whole], [None, AGAIN]),
    "500 once": ([status(500), whole], [None, None]),
    "hang-up once": ([hung_up, whole], [None, None]),
    "no word of the length": ([without_length], [None]),
}  # fmt: skip


@dataclass
class Play:
    """One request for an image that is played wrongly, and a good one behind it."""

    bad: PlayedImage
    good: PlayedImage
    job: str


@pytest.fixture(scope="module")
def plays(service: LocalService, glance: PlayedGlance, one_host: int) -> dict[str, Play]:
    """Send the requests of both tables at once, for most of their time is waiting."""
    made = {}
    for case, (answers, *_) in {**FAILURES, **RECOVERIES}.items():
        bad, good = glance.add(DATA, *answers), glance.add(b"good" * 1000)
        made[case] = Play(bad, good, request(service, one_host, bad.id, good.id))
    return made


@pytest.mark.parametrize("case", FAILURES)
def test_failed_transfer_is_an_error_with_its_reason_and_the_next_image_is_cached(service, plays, case):
    play, (_, reason, ranges) = plays[case], FAILURES[case]

    assert ended(service, play.job) == "partly_failed"

    task = task_of(service, play.job, play.bad)
    assert task["outcome"] == "error"
    assert re.search(reason, task["reason"])
    assert task["reason"] in table_of(service, play.job)
    assert task_of(service, play.job, play.good)["outcome"] == "cached"
    assert files_of(service, play.bad) == []
    assert ranges in (None, play.bad.ranges)


@pytest.mark.parametrize("case", RECOVERIES)
def test_interrupted_transfer_continues_where_it_ended(service, plays, case):
    play, (_, ranges) = plays[case], RECOVERIES[case]

    assert ended(service, play.job) == "succeeded"

    assert entry(service, "cmp-1", play.bad.id).read_bytes() == DATA
    assert play.bad.sent_bytes == task_of(service, play.job, play.bad)["bytes_done"] == SIZE
    assert play.bad.ranges == ranges


def test_service_that_cannot_resume_is_read_again_from_the_start(service, glance, one_host):
    image = glance.add(DATA, cut_at(CUT), from_the_start)

    job = request(service, one_host, image.id)

    assert ended(service, job) == "succeeded"
    assert entry(service, "cmp-1", image.id).read_bytes() == DATA
    assert image.ranges == [None, AGAIN, None]


def test_damaged_data_is_fetched_again_and_then_right(service, glance, one_host):
    image = glance.add(DATA, with_flipped_bit, whole)

    job = request(service, one_host, image.id)

    assert ended(service, job) == "succeeded"
    assert entry(service, "cmp-1", image.id).read_bytes() == DATA
    assert image.ranges == [None, None]


def test_conversion_continues_with_the_transfer_that_it_reads_from(service, glance, one_host, tmp_path):
    source = qcow2(tmp_path / "source.qcow2", 3, hole_mib=5)
    image = glance.add(source.read_bytes(), stalled_at(CUT), whole, disk_format="qcow2")

    job = request(service, one_host, image.id)

    assert ended(service, job) == "succeeded"
    assert image.ranges == [None, AGAIN]
    compared = ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", entry(service, "cmp-1", image.id), source]
    subprocess.run(compared, check=True, capture_output=True)


def test_failure_of_one_host_is_not_the_other_ones_and_is_made_good_by_another_request(service, glance, two_hosts):
    # Each host tries twice; in any order exactly one of them gets the fourth answer, which is right.
    image = glance.add(DATA, *[with_flipped_bit] * 3, whole)

    first = request(service, two_hosts, image.id)
    assert ended(service, first) == "partly_failed"
    second = request(service, two_hosts, image.id)
    assert ended(service, second) == "succeeded"

    assert sorted(outcomes(service, first).values()) == ["cached", "error"]
    assert sorted(outcomes(service, second).values()) == ["cached", "existing"]
    for host in ("cmp-1", "cmp-2"):
        assert entry(service, host, image.id).read_bytes() == DATA


@pytest.mark.parametrize("disk_format", ["ami", "aki", "ari"])
def test_file_systems_kernels_and_ramdisks_are_kept_as_they_are(service, glance, one_host, disk_format):
    image = glance.add(DATA, disk_format=disk_format)

    job = request(service, one_host, image.id)

    assert ended(service, job) == "succeeded"
    assert entry(service, "cmp-1", image.id).read_bytes() == DATA
