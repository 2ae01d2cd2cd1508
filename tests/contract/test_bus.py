"""What computes, conductors and the API tell one another over a real bus, and what the log says when they cannot."""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import oslo_messaging
import pytest

from precache.adapters.bus_oslo import BusReports, BusWake, ConductorServer, WakeListener, open_bus
from precache.adapters.bus_oslo.messages import heartbeats_message
from precache.adapters.clock_system import SystemClock
from precache.core.errors import ComputeOutdated, ComputeUnreachable
from precache.core.hosts import Heartbeat
from precache.core.images import parse_image_id
from precache.core.jobs import Phase, TaskProgress
from precache.core.orders import ImageOrder
from precache.ports.compute_gateway import ImagesRequest
from precache.wiring.progress import progress_batcher
from tests.contract.buses import PATIENCE, BusWorld, new_conf
from tests.contract.cache_values import full
from tests.contract.hearing import Hearing
from tests.contract.played_compute import played_compute
from tests.lab.rabbitmq import PASSWORD
from tests.waiting import wait_until

pytestmark = pytest.mark.external

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
REQUEST = ImagesRequest("job", "cmp-1", "cell1", (ImageOrder(IMAGE),))
NOW = datetime(2026, 3, 1, tzinfo=UTC)
BEAT = Heartbeat("cmp-1", "", "fake", NOW, release="0.1.0", site="north", cache_id="0a1b")


@pytest.fixture
def world(cell_url):
    made = BusWorld(cell_url)
    yield made
    made.close()


@pytest.fixture
def ended():
    with ExitStack() as stops:
        yield stops


def hear(world, ended, cell="cell1"):
    """Return what a conductor hears in a cell."""
    hearing = Hearing()
    server = ConductorServer(
        bus=world.bus(),
        cell=cell,
        on_heartbeat=hearing.beats.append,
        on_progress=hearing.add,
        on_cache_report=hearing.cache_reports.append,
        clock=SystemClock(),
    )
    server.start()
    ended.callback(server.stop, PATIENCE)
    assert server.wait_until_listening(PATIENCE)
    return hearing


def test_a_heartbeat_arrives_in_its_cell_with_the_version_of_the_compute(world, ended):
    hearing = hear(world, ended)
    began = datetime.now(UTC)

    BusReports(bus=world.bus()).store_heartbeats([BEAT])

    wait_until(lambda: hearing.beats)
    (beat,) = hearing.beats
    assert (beat.host, beat.cell, beat.driver, beat.rpc_version) == ("cmp-1", "cell1", "fake", "1.5")
    assert (beat.release, beat.site, beat.cache_id) == ("0.1.0", "north", "0a1b")
    assert began <= beat.seen_at <= datetime.now(UTC)


def test_a_report_on_a_cache_arrives_in_its_cell_without_a_heartbeat(world, ended):
    hearing = hear(world, ended)
    report = full(1, 2, cell="")

    assert BusReports(bus=world.bus()).store_reports([report]) == frozenset()

    wait_until(lambda: hearing.cache_reports)
    assert hearing.cache_reports[0].unpack() == replace(report, cell="cell1")
    assert hearing.beats == []


def test_one_of_several_conductors_receives_each_heartbeat(world, ended):
    ears = [hear(world, ended), hear(world, ended)]
    bus = world.bus()
    hosts = [f"cmp-{number}" for number in range(10)]

    for host in hosts:
        BusReports(bus=bus).store_heartbeats([replace(BEAT, host=host)])

    wait_until(lambda: sum(len(ear.beats) for ear in ears) >= len(hosts))
    bus.cast("precache-conductor", "heartbeat", heartbeats_message([replace(BEAT, host="last")], "1.0"), to_all=True)
    wait_until(lambda: all("last" in ear.hosts for ear in ears))
    assert sorted(ears[0].hosts + ears[1].hosts) == [*hosts, "last", "last"]


def test_the_latest_progress_of_each_task_arrives(world, ended):
    hearing = hear(world, ended)
    progress = progress_batcher(BusReports(bus=world.bus()).note_progress, interval=timedelta(seconds=0.2))

    for number in range(100):
        progress.add(TaskProgress("job", "cmp-1", IMAGE, Phase.DOWNLOADING, number, 100))
    progress.start()
    progress.stop(PATIENCE)

    wait_until(lambda: hearing.progress)
    assert hearing.progress == [TaskProgress("job", "cmp-1", IMAGE, Phase.DOWNLOADING, 99, 100, "cell1")]


def test_invalid_messages_are_dropped_with_one_line_each_and_the_rest_arrives(world, ended, caplog):
    hearing = hear(world, ended)
    bus = world.bus()

    bus.cast("precache-conductor", "heartbeat", {"beats": 7})
    bus.cast("precache-conductor", "progress", {})
    bus.cast("precache-conductor", "heartbeat", {"beats": [{"host": "../x"}]})
    BusReports(bus=bus).store_heartbeats([BEAT])

    wait_until(lambda: hearing.beats and len([r for r in caplog.records if r.levelno == logging.WARNING]) == 3)
    assert "Traceback" not in caplog.text


def test_a_message_of_a_newer_release_is_ignored(world, ended, caplog):
    hearing = hear(world, ended)
    bus = world.bus()

    bus.cast("precache-conductor", "of_a_newer_release", {})
    BusReports(bus=bus).store_heartbeats([BEAT])

    wait_until(lambda: hearing.beats)
    assert "Traceback" not in caplog.text


def test_every_conductor_is_woken(world, ended):
    woken = []
    for name in ("one", "two"):
        listener = WakeListener(bus=world.bus(), name=name, wake=lambda name=name: woken.append(name))
        listener.start()
        ended.callback(listener.stop, PATIENCE)
        assert listener.wait_until_listening(PATIENCE)

    BusWake(bus=world.bus())()

    wait_until(lambda: sorted(woken) == ["one", "two"])


def test_no_cast_to_a_bus_whose_broker_is_down_raises_or_waits(caplog):
    bus = open_bus(new_conf(), f"rabbit://user:{PASSWORD}@127.0.0.1:1/cell1")
    reports = BusReports(bus=bus)

    BusWake(bus=bus)()
    reports.store_heartbeats([BEAT])
    reports.note_progress([TaskProgress("job", "cmp-1", IMAGE, Phase.DOWNLOADING, 1, 2)])
    bus.close()

    assert [r.message for r in caplog.records if r.levelno >= logging.INFO] == [
        "The message bus 127.0.0.1:1/cell1 is not available: connection refused; start the broker or correct the "
        "transport URL; trying until it is"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url.replace(PASSWORD, f"not-{PASSWORD}"), "refuses the user or the password"),
        (lambda url: url + "-that-is-not-there", "the virtual host does not exist"),
        (lambda url: url.replace("127.0.0.1", "no-such-host.invalid"), "name cannot be resolved"),
        (lambda url: "rabbit://user:" + PASSWORD + "@127.0.0.1:1/cell1", "connection refused"),
    ],
)
def test_a_wrong_url_is_said_once_in_one_sentence_without_the_password(cell_url, ended, caplog, change, words):
    caplog.set_level(logging.INFO)
    made = BusWorld(change(cell_url))
    ended.callback(made.close)
    hearing = Hearing()
    server = ConductorServer(
        bus=made.bus(),
        cell="cell1",
        on_heartbeat=hearing.beats.append,
        on_progress=hearing.add,
        on_cache_report=hearing.cache_reports.append,
        clock=SystemClock(),
    )
    server.start()
    ended.callback(server.stop, timedelta(seconds=1))

    with pytest.raises(ComputeUnreachable, match=words):
        made.gateway(long_s=6, silence_s=4).process_images(REQUEST)

    assert PASSWORD not in caplog.text
    assert "Traceback" not in caplog.text
    for place in {record.args[0] for record in caplog.records if "is not available" in record.message}:
        said = [r.message for r in caplog.records if r.args and r.args[0] == place]
        assert len(said) <= 2, said  # one for each bus of this process


def test_an_older_compute_s_refusal_of_the_version_is_reported_as_that(world, ended):
    class OfOldTimes:
        target = oslo_messaging.Target(version="0.9")

        def cache_images(self, context, **message):
            raise AssertionError("it cannot come here")

    bus = world.bus()
    server = oslo_messaging.get_rpc_server(
        bus.transport,
        oslo_messaging.Target(exchange="precache", topic="precache-compute", server="cmp-1"),
        [OfOldTimes()],
    )
    server.start()
    ended.callback(lambda: (server.stop(), server.wait()))

    with pytest.raises(ComputeOutdated, match="cmp-1"):
        world.gateway().process_images(REQUEST)


def test_a_compute_of_the_release_before_the_cancel_is_outdated_for_it_and_still_takes_requests(world, ended):
    class OfOldTimes:
        target = oslo_messaging.Target(version="1.1")

        def cache_images(self, context, **message):
            return {"results": []}

    bus = world.bus()
    server = oslo_messaging.get_rpc_server(
        bus.transport,
        oslo_messaging.Target(exchange="precache", topic="precache-compute", server="cmp-1"),
        [OfOldTimes()],
    )
    server.start()
    ended.callback(lambda: (server.stop(), server.wait()))
    gateway = world.gateway()

    with pytest.raises(ComputeOutdated, match=r"cmp-1.* 1\.2 "):
        gateway.cancel("job", "cmp-1", "cell1")

    assert gateway.process_images(REQUEST) == []


def test_a_cancel_for_another_host_is_refused(world, caplog):
    cancelled = []
    world.join("cmp-1", lambda request: [], lambda *call: cancelled.append(call))

    answer = world.bus().call(
        "precache-compute",
        "cmp-1",
        "cancel_job",
        {"job_id": "job", "host": "cmp-2", "cell": "cell1"},
        timeout_s=10,
        monitor_s=10,
        version="1.2",
    )

    assert answer == {"error": {"code": "malformed", "reason": "host is not the name of this host"}}
    assert cancelled == []
    assert "A request for job job was refused: host is not the name of this host" in caplog.text


def test_a_bug_of_the_compute_stays_in_its_log(world, caplog):
    def broken(request):
        raise KeyError(PASSWORD)

    world.join("cmp-1", broken)
    with pytest.raises(ComputeUnreachable) as caught:
        world.gateway().process_images(REQUEST)

    assert PASSWORD not in str(caught.value)
    assert "the log of the compute on cmp-1" in str(caught.value)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [KeyError]


def test_no_eventlet_comes_into_our_processes(cell_url, tmp_path):
    with played_compute(cell_url, "cmp-1", 0, tmp_path) as compute:
        world = BusWorld(cell_url)
        world.gateway().process_images(REQUEST)
        world.close()

        assert "eventlet: False" in compute.out.read_text()


def test_the_import_of_the_adapters_brings_no_eventlet_and_no_warning():
    code = (
        "import sys, precache.adapters.bus_oslo\n"
        "print([name for name, module in sys.modules.items() if module and name.split('.')[0] == 'eventlet'])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")
