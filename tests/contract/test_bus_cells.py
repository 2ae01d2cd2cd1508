"""The buses of all cells, as the table of cells changes and brokers come and go."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.bus_oslo import BusReports, CellBuses, OsloComputes
from precache.adapters.clock_system import SystemClock
from precache.core.cells import Cell
from precache.core.errors import BusUnavailable, ComputeUnreachable, SecretUnreadable
from precache.core.hosts import Heartbeat
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, TaskResult
from precache.core.orders import ImageOrder
from precache.ports.compute_gateway import ImagesRequest
from tests.contract.buses import PATIENCE, BusWorld, new_conf
from tests.contract.hearing import Hearing
from tests.contract.played_compute import played_compute
from tests.lab.rabbitmq import PASSWORD
from tests.waiting import wait_until

pytestmark = pytest.mark.external

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
AWAY = f"rabbit://user:{PASSWORD}@127.0.0.1:1/cell"


class Table:
    """The port `CellQueries`, which a test changes as it likes."""

    def __init__(self, *cells):
        self.cells, self.error = list(cells), None

    def list_cells(self):
        if self.error is not None:
            raise self.error
        return list(self.cells)


@pytest.fixture
def ended():
    with ExitStack() as stops:
        yield stops


def follow(ended, table):
    """Return what is heard in the cells of the table, and their buses."""
    hearing = Hearing()
    cells = CellBuses(
        conf=new_conf(),
        cells=table,
        on_heartbeat=hearing.beats.append,
        on_progress=hearing.add,
        on_cache_report=hearing.cache_reports.append,
        clock=SystemClock(),
        interval=timedelta(seconds=0.1),
    )
    cells.start()
    ended.callback(cells.stop, timedelta(seconds=3))
    return hearing, cells


def beat_until_heard(ended, url, host, hearing):
    """Have a compute on the bus beat, as a real one would, until a beat is heard; return its cell."""
    world = BusWorld(url)
    ended.callback(world.close)
    reports = BusReports(bus=world.bus())

    def is_heard():
        reports.store_heartbeats([Heartbeat(host, "", "fake", NOW)])
        return any(beat.host == host for beat in hearing.beats)

    wait_until(is_heard)
    return next(beat.cell for beat in hearing.beats if beat.host == host)


def patient_gateway(ended, cells):
    """Return a gateway that finds its buses among the cells'."""
    gateway = OsloComputes(
        buses=cells.bus_of, long_rpc_timeout=timedelta(seconds=90), call_monitor_timeout=timedelta(seconds=6)
    )
    ended.callback(gateway.stop)
    return gateway


def is_known(cells, name):
    try:
        cells.bus_of(name)
    except BusUnavailable:
        return False
    return True


def test_each_cell_is_received_on_its_own_bus(rabbitmq, ended):
    rabbitmq.start()
    urls = {name: rabbitmq.fresh_url() for name in ("cell1", "cell2")}
    hearing, _ = follow(ended, Table(*[Cell(name, url) for name, url in urls.items()]))

    heard_in = {name: beat_until_heard(ended, url, f"host-of-{name}", hearing) for name, url in urls.items()}

    assert heard_in == {"cell1": "cell1", "cell2": "cell2"}


def test_a_cell_is_taken_up_changed_and_left_without_a_restart(rabbitmq, ended):
    rabbitmq.start()
    first, second = rabbitmq.fresh_url(), rabbitmq.fresh_url()
    table = Table()
    hearing, cells = follow(ended, table)

    table.cells = [Cell("cell1", first)]
    assert beat_until_heard(ended, first, "one", hearing) == "cell1"

    table.cells = [Cell("cell1", second)]
    assert beat_until_heard(ended, second, "two", hearing) == "cell1"

    table.cells = []
    wait_until(lambda: not is_known(cells, "cell1"))


def test_a_cell_whose_broker_is_down_does_not_concern_the_others(cell_url, ended):
    _, cells = follow(ended, Table(Cell("away", AWAY), Cell("there", cell_url)))
    world = BusWorld(cell_url)
    ended.callback(world.close)
    world.join("cmp-1", lambda request: [TaskResult(IMAGE, Outcome.CACHED)])
    gateway = patient_gateway(ended, cells)

    assert (
        gateway.process_images(ImagesRequest("job", "cmp-1", "there", (ImageOrder(IMAGE),)))[0].outcome
        is Outcome.CACHED
    )
    with pytest.raises(ComputeUnreachable, match="connection refused"):
        gateway.process_images(ImagesRequest("job", "cmp-2", "away", (ImageOrder(IMAGE),)))


def test_a_url_that_changes_during_work_costs_no_outcome(cell_url, ended, tmp_path, caplog):
    table = Table(Cell("cell1", cell_url))
    _, cells = follow(ended, table)
    gateway = patient_gateway(ended, cells)
    with ThreadPoolExecutor() as threads, played_compute(cell_url, "cmp-1", 8, tmp_path) as compute:
        under_way = threads.submit(gateway.process_images, ImagesRequest("job", "cmp-1", "cell1", (ImageOrder(IMAGE),)))
        wait_until(lambda: compute.begun)

        table.cells = [Cell("cell1", f"{cell_url}?rabbit_retry_interval=2")]

        assert [result.outcome for result in under_way.result(60)] == [Outcome.CACHED]
        assert compute.begun == ["job"]
    assert "Traceback" not in caplog.text


def test_a_cell_that_goes_during_work_is_the_reason_for_what_could_not_be_asked(cell_url, ended, tmp_path, caplog):
    table = Table(Cell("cell1", cell_url))
    _, cells = follow(ended, table)
    gateway = patient_gateway(ended, cells)
    with ThreadPoolExecutor() as threads, played_compute(cell_url, "cmp-1", 60, tmp_path) as compute:
        under_way = threads.submit(gateway.process_images, ImagesRequest("job", "cmp-1", "cell1", (ImageOrder(IMAGE),)))
        wait_until(lambda: compute.begun)

        table.cells = []

        with pytest.raises(BusUnavailable, match="no transport URL is known"):
            under_way.result(60)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (Cell("cell1"), "no transport URL is known"),
        (Cell("cell1", f"rabbit:{PASSWORD}"), "cannot be used"),
        (Cell("another", AWAY), "no transport URL is known"),
    ],
)
def test_a_cell_without_a_usable_url_is_said_to_have_none(ended, caplog, cell, words):
    _, cells = follow(ended, Table(cell))

    with pytest.raises(BusUnavailable, match=words):
        cells.bus_of("cell1")
    assert PASSWORD not in caplog.text


def test_two_cells_on_one_bus_could_not_be_distinguished_so_the_second_is_refused(ended, caplog):
    _, cells = follow(ended, Table(Cell("cell1", AWAY), Cell("cell2", AWAY)))

    assert cells.bus_of("cell1")
    with pytest.raises(BusUnavailable, match="same message bus"):
        cells.bus_of("cell2")
    assert len([record for record in caplog.records if "same message bus" in record.message]) == 1


def test_an_unreadable_table_changes_nothing(ended, caplog):
    table = Table(Cell("cell1", AWAY))
    _, cells = follow(ended, table)

    table.error = SecretUnreadable("The transport URL of cell cell1")
    wait_until(lambda: "cannot be decrypted" in caplog.text)

    assert cells.bus_of("cell1")
    assert caplog.text.count("cannot be decrypted") == 1


def test_a_bug_in_the_reading_of_the_table_is_logged_and_the_table_is_read_again(ended, caplog):
    table = Table(Cell("cell1", AWAY))
    _, cells = follow(ended, table)

    table.error = RuntimeError("a bug")
    wait_until(lambda: "The check of the table of cells failed unexpectedly" in caplog.text)
    table.error, table.cells = None, []

    wait_until(lambda: not is_known(cells, "cell1"))


def test_all_buses_are_left_in_time_when_their_brokers_are_down(ended):
    _, cells = follow(ended, Table(*[Cell(f"cell{number}", AWAY + str(number)) for number in range(5)]))

    cells.stop(PATIENCE)

    assert not is_known(cells, "cell1")
