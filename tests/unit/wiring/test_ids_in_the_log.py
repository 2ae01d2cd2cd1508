"""The ids in the log of `serve all`: the conductor's pool calls the compute, whose lines have the ids of the job."""

import logging

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.background.cancel_token import CancelToken
from precache.compute.process_images import ProcessImages
from precache.core.work_context import WorkContext, current_work, working_on
from tests.unit.conductor.cloud import FIRST, Cloud

REQUEST = WorkContext(request_id="req-1", job_id="job")


class Driver:
    name = "played"

    def start(self) -> None: ...

    def clean_cache(self) -> None: ...

    def cache_image(self, order, watch) -> bool:
        return True


class NoReports:
    def add(self, progress) -> None: ...


@pytest.fixture
def seen():
    """Return the list of (work context, message) of the compute's log lines."""
    lines: list[tuple[WorkContext | None, str]] = []

    class Seen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append((current_work(), record.getMessage()))

    log, handler = logging.getLogger("precache.compute"), Seen()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield lines
    log.removeHandler(handler)
    log.setLevel(level)


def compute() -> ProcessImages:
    return ProcessImages(
        host="cmp-1", cell="cell1", driver=Driver(), progress=NoReports(), clock=MemoryClock(), stop=CancelToken()
    )


def test_compute_in_the_conductors_process_logs_the_ids_of_the_request(seen):
    cloud = Cloud({"cmp-1": compute().process_images})

    with working_on(REQUEST):
        cloud.run()

    assert f"Caching image {FIRST} by request on cmp-1" in [message for _, message in seen]
    assert {work for work, _ in seen} == {REQUEST}


def test_compute_in_a_process_of_its_own_logs_the_id_of_the_job(seen):
    compute().cancel_job("job")

    assert seen == [(WorkContext(job_id="job"), "Cancelling job job on cmp-1")]
