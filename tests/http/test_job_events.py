"""Server-sent events of jobs, from the real HTTP server."""

import json
import threading
from collections import Counter
from datetime import timedelta

import falcon.testing
import pytest

from precache.api.events.feed import FeedLimits, JobFeed
from precache.api.handlers.views import JobViews
from precache.core.errors import StoreUnavailable
from precache.core.images import parse_image_id
from precache.core.jobs import (
    JobState,
    NewJob,
    Outcome,
)
from precache.core.orders import ImageOrder
from tests.http.event_reader import readers  # noqa: F401  a fixture
from tests.http.followed import EVENTS, JOB, CountingJobs, serving
from tests.http.world import DEBIAN, DOCUMENT, UBUNTU, World
from tests.lab.certificates import Authority
from tests.waiting import wait_until


@pytest.fixture
def followed():
    with serving() as each:
        yield each


@pytest.fixture
def follow(followed, readers):  # noqa: F811
    return lambda **kwargs: readers(followed.url, EVENTS, **kwargs)


def test_a_reader_gets_a_snapshot_and_then_only_what_changes(followed, follow):
    followed.ask("cmp1")
    followed.progress("cmp1", 10)

    reader = follow()
    first = reader.next()
    followed.look()  # nothing has changed
    followed.progress("cmp1", 20)
    followed.look()
    second = reader.next()

    assert (reader.headers["Content-Type"], reader.headers["Cache-Control"]) == ("text/event-stream", "no-store")
    assert (first.name, first.data["job"]["state"], first.data["is_lost"]) == ("snapshot", "running", False)
    assert [(task["host"], task["bytes_done"]) for task in first.data["tasks"]] == [("cmp1", 10), ("cmp1", 0)]
    assert (second.name, second.data) == ("task", {"host": "cmp1", "image": DEBIAN, "bytes_done": 20})


def test_a_task_that_was_never_seen_running_is_sent_whole(followed, follow):
    reader = follow()
    reader.next()
    followed.end("cmp3", Outcome.SKIPPED, [UBUNTU], "the host is down")
    followed.look()

    task, job = reader.next(), reader.next()

    assert (task.name, task.data["host"], task.data["image"]) == ("task", "cmp3", UBUNTU)
    assert (task.data["outcome"], task.data["reason"], task.data["cell"]) == ("skipped", "the host is down", None)
    assert job.name == "job"
    assert job.data["counts"] == {"skipped": 1}
    assert "target" not in job.data


def test_the_stream_ends_with_the_job(followed, follow):
    followed.ask("cmp1", "cmp2", "cmp3")
    reader = follow()
    reader.next()
    for host in ("cmp1", "cmp2", "cmp3"):
        followed.end(host)
    followed.jobs.finish(followed.claim, JobState.SUCCEEDED)
    followed.look()

    events = reader.until("end")

    assert Counter(event.name for event in events) == {"task": 6, "job": 1, "end": 1}
    assert events[-1].data["state"] == "succeeded"
    assert events[-1].data["counts"] == {"cached": 6}
    assert reader.next() is None
    assert follow(last_event_id=events[-1].id).status == 204
    assert [event.name for event in follow().until("end")] == ["snapshot", "end"]


def test_a_job_that_is_tried_again_goes_on_after_its_end(followed, follow):
    for host in ("cmp1", "cmp2", "cmp3"):
        followed.end(host, Outcome.ERROR, reason="no")
    followed.jobs.finish(followed.claim, JobState.FAILED)
    end = follow().until("end")[-1]
    followed.jobs.retry(JOB)

    reader = follow(last_event_id=end.id)
    followed.look()
    events = reader.until("job")

    assert {event.data["state"] for event in events} == {"waiting", "queued"}
    assert len(events) == 7


def test_a_reader_that_lost_the_connection_misses_nothing(followed, follow):
    followed.ask("cmp1", "cmp2")
    reader = follow()
    last = reader.next()
    for done in (1, 2):
        followed.progress("cmp1", done)
        followed.look()
        last = reader.until("job")[-1]
    reader.close()
    wait_until(lambda: not followed.feed.reader_count)
    followed.progress("cmp1", 3)
    followed.progress("cmp2", 7)
    reads = followed.jobs.reads["snapshots"]
    followed.look()  # nobody watches, so nothing is read

    again = follow(last_event_id=last.id)
    followed.look()

    assert followed.jobs.reads["snapshots"] == reads + 1
    tasks = [again.next_task().data for _ in range(2)]
    assert [(task["host"], task["bytes_done"]) for task in tasks] == [("cmp1", 3), ("cmp2", 7)]


@pytest.mark.parametrize("last", ["0badcafe-1", "nonsense", "-", "1-99999999999999999999999"])
def test_a_reader_whose_last_event_is_not_known_is_told_that_it_lost_some(followed, follow, last):
    first = follow(last_event_id=last).next()

    assert (first.name, first.data["is_lost"]) == ("snapshot", True)


def test_very_many_changes_at_once_are_a_new_snapshot(readers):  # noqa: F811
    hosts = tuple(f"host-{number}" for number in range(2000))
    with serving(hosts=hosts) as followed:
        reader = readers(followed.url, EVENTS)
        reader.next()
        for host in hosts:
            followed.end(host, Outcome.CANCELLED)
        followed.jobs.finish(followed.claim, JobState.CANCELLED)
        followed.look()

        snapshot, end = reader.next(), reader.next()

    assert (snapshot.name, snapshot.data["is_lost"]) == ("snapshot", True)
    assert snapshot.data["job"]["counts"] == end.data["counts"] == {"cancelled": 4000}


def test_two_hundred_readers_cost_neither_threads_nor_reads_each(readers):  # noqa: F811
    with serving() as followed:
        followed.ask("cmp1")
        first = readers(followed.url, EVENTS)
        first.next()
        threads, reads = set(threading.enumerate()), followed.jobs.reads.copy()
        others = [readers(followed.url, EVENTS) for _ in range(199)]
        for reader in others:
            assert reader.next().name == "snapshot"
        connecting = followed.jobs.reads - reads

        followed.progress("cmp1", 50)
        followed.look()

        assert [reader.next().data["bytes_done"] for reader in [first, *others]] == [50] * 200
        assert set(threading.enumerate()) <= threads  # one of a test before this one may end meanwhile
        # Within a second the last look is new enough; the test may take some.
        assert connecting["snapshots"] <= 30
        assert followed.jobs.reads - reads - connecting == {"snapshots": 1}


def test_a_slow_reader_is_cut_off_and_the_others_go_on(readers):  # noqa: F811
    hosts = tuple(f"host-{number}" for number in range(500))
    with serving(hosts=hosts, limits=FeedLimits(log_bytes=64 * 1024)) as followed:
        followed.ask(*hosts)
        slow, quick = readers(followed.url, EVENTS, receive_buffer=4096), readers(followed.url, EVENTS)
        quick.next()
        for done in range(1, 11):
            for host in hosts:
                followed.progress(host, done)
            followed.look()
            for _ in hosts:
                assert quick.next_task().data["bytes_done"] == done
        wait_until(lambda: followed.feed.reader_count == 1)

        assert not slow.read_all()
        followed.progress(hosts[0], 99)
        followed.look()
        assert quick.next_task().data["bytes_done"] == 99


def test_a_reader_that_leaves_frees_its_place(readers):  # noqa: F811
    with serving(limits=FeedLimits(readers=2)) as followed:
        leaving, staying = readers(followed.url, EVENTS), readers(followed.url, EVENTS)
        assert leaving.next().name == staying.next().name == "snapshot"
        refused = readers(followed.url, EVENTS)
        error = refused.read_error()
        leaving.close()
        wait_until(lambda: followed.feed.reader_count == 1)

        assert refused.status == 503
        assert error["code"] == "precache.events.too_many_readers"
        assert error["message"] == (
            "2 clients follow jobs already, the most that this process serves at once; try again later, or read "
            "GET /v1/jobs/{id} again and again"
        )
        assert readers(followed.url, EVENTS).next().name == "snapshot"


def test_readers_are_told_that_the_store_is_unavailable_and_go_on(followed, follow):
    reader = follow()
    reader.next()
    followed.jobs.failure = StoreUnavailable("connection refused")
    for _ in range(3):
        followed.look()
    down = reader.next()
    followed.jobs.failure = None
    followed.ask("cmp1")
    followed.look()

    up, task = reader.next(), reader.next()

    assert (down.name, down.data["is_available"], down.data["code"]) == ("store", False, "precache.store.unavailable")
    assert "connection refused" in down.data["message"]
    assert (up.name, up.data["is_available"]) == ("store", True)
    assert (task.name, task.data["host"]) == ("task", "cmp1")


def test_a_store_that_is_unavailable_from_the_start_is_an_error(followed, follow):
    followed.jobs.failure = StoreUnavailable("connection refused")

    reader = follow()

    assert (reader.status, reader.read_error()["code"]) == (503, "precache.store.unavailable")


def test_readers_are_told_that_the_job_was_deleted(followed, follow):
    reader = follow()
    reader.next()
    del followed.jobs._records[JOB]
    followed.look()

    deleted = reader.next()

    assert (deleted.name, deleted.data["code"]) == ("deleted", "precache.job.not_found")
    assert reader.next() is None
    assert follow().status == 404


def test_a_stream_ends_regularly_when_its_time_is_over_and_can_be_resumed(readers):  # noqa: F811
    now = [0.0]
    with serving(clock=lambda: now[0], limits=FeedLimits(lifetime_s=0.0)) as followed:
        reader = readers(followed.url, EVENTS)
        first = reader.next()

        assert reader.next() is None
        again = readers(followed.url, EVENTS, last_event_id=first.id)
        assert (again.status, again.next()) == (200, None)


def test_the_server_ends_streams_regularly_when_it_stops(followed, follow):
    reader = follow()
    reader.next()

    followed.server.stop(timedelta(seconds=5))

    assert reader.next() is None


def test_the_end_of_the_feed_ends_the_streams(followed, follow):
    reader = follow()
    reader.next()

    followed.feed.stop()

    assert reader.next() is None


def test_events_come_over_tls(tmp_path, readers):  # noqa: F811
    authority = Authority(tmp_path)
    certificate = authority.certificate("127.0.0.1")
    hosts = tuple(f"host-{number}" for number in range(300))
    with serving(tls_files=(certificate.cert, certificate.key), hosts=hosts) as followed:
        followed.ask(*hosts)
        several = [readers(followed.url, EVENTS, cafile=authority.cafile) for _ in range(3)]
        assert [len(reader.next().data["tasks"]) for reader in several] == [600] * 3
        for host in hosts:
            followed.end(host)
        followed.jobs.finish(followed.claim, JobState.SUCCEEDED)
        followed.look()

        for reader in several:
            assert Counter(event.name for event in reader.until("end"))["task"] == 600
            assert reader.next() is None


class FeedClock:
    """A clock that a test sets. ticked: set when the feed's thread has looked at it since."""

    def __init__(self):
        self.now = 0.0
        self.ticked = threading.Event()

    def __call__(self):
        if threading.current_thread().name == "job-feed":
            self.ticked.set()
        return self.now


def test_a_reader_that_comes_back_as_its_job_is_forgotten_gets_a_stream():
    clock, jobs = FeedClock(), CountingJobs()
    limits = FeedLimits(interval_s=0.01, keep_s=60.0)
    feed = JobFeed(store=jobs, views=JobViews(DOCUMENT), limits=limits, monotonic=clock)
    jobs.add(
        NewJob(
            id=JOB,
            hosts=("h",),
            orders=(ImageOrder(parse_image_id(DEBIAN)),),
            requested_by="a",
            request_id="req-1",
            created_at=World().clock.now(),
        )
    )
    feed.open(JOB).close()

    def read_late(job_ids, *, read=jobs.snapshots):
        clock.now = 61.0
        clock.ticked.clear()
        clock.ticked.wait(0.3)
        return read(job_ids)

    clock.now = 10.0  # so that the job is read again
    jobs.snapshots = read_late
    stream = feed.open(JOB)

    assert b"snapshot" in stream.take()
    feed.stop()


def test_a_thread_reads_the_store_while_somebody_follows_and_ends_afterwards(readers):  # noqa: F811
    jobs = CountingJobs()
    limits = FeedLimits(interval_s=0.02, keep_s=0.1)
    feed = JobFeed(store=jobs, views=JobViews(DOCUMENT), limits=limits)
    image = parse_image_id(DEBIAN)
    now = World().clock.now()
    jobs.add(
        NewJob(id=JOB, hosts=("h",), orders=(ImageOrder(image),), requested_by="a", request_id="req-1", created_at=now)
    )

    stream = feed.open(JOB)
    assert b"snapshot" in stream.take()
    jobs.cancel(JOB)
    received = []
    wait_until(lambda: received.append(stream.take()) or stream.is_finished)
    stream.close()

    assert b"event: end" in b"".join(received)
    wait_until(lambda: "job-feed" not in {thread.name for thread in threading.enumerate()})
    reads = jobs.reads["snapshots"]
    assert feed.open(JOB) is not None
    assert jobs.reads["snapshots"] == reads + 1
    feed.stop()


def test_a_server_that_hands_no_stream_over_sends_it_from_a_thread(followed):
    environ = {"wsgi.multithread": True}
    streams = [followed.feed.open(JOB, in_thread=True) for _ in range(8)]

    status, code = _status_and_code(followed.app, environ)
    assert (status, code) == ("503", "precache.events.too_many_readers")
    followed.end("cmp1")
    followed.look()
    parts = iter(streams[0])
    assert b"snapshot" in next(parts)
    assert b"task" in next(parts)
    streams[0].close()
    assert followed.feed.open(JOB, in_thread=True) is not None


def test_a_server_with_one_thread_sends_no_events(followed):
    assert _status_and_code(followed.app, {"wsgi.multithread": False}) == ("503", "precache.events.not_served")


def _status_and_code(app, environ):
    started = falcon.testing.StartResponseMock()
    body = b"".join(app(falcon.testing.create_environ(EVENTS) | environ, started))
    return started.status[:3], json.loads(body)["error"]["code"]
