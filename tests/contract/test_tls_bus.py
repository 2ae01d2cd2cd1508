"""TLS to a real broker, set in the configuration or in the transport URL, and every way in which it fails."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.bus_oslo import BusReports, CellBuses, ComputeServer, OsloComputes, open_bus
from precache.adapters.bus_oslo.tls import checks_names
from precache.adapters.clock_system import SystemClock
from precache.core.cells import Cell
from precache.core.errors import BusUnavailable
from precache.core.hosts import Heartbeat
from precache.core.images import parse_image_id
from precache.core.jobs import Outcome, TaskResult
from precache.core.orders import ImageOrder
from precache.ports.compute_gateway import ImagesRequest
from tests.contract.buses import PATIENCE, new_conf
from tests.contract.hearing import Hearing
from tests.lab.certificates import Authority
from tests.lab.rabbitmq import NAMES, PASSWORD, USER
from tests.played_host import PlayedHost
from tests.waiting import wait_until

pytestmark = pytest.mark.external

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
LISTENS_WITHIN = timedelta(seconds=60)


class Cells:
    """The port `CellQueries`."""

    def __init__(self, urls: dict[str, str]) -> None:
        self._urls = urls

    def list_cells(self) -> list[Cell]:
        return [Cell(name, url) for name, url in self._urls.items()]


@pytest.fixture
def ended():
    with ExitStack() as stops:
        yield stops


@pytest.fixture
def ca(rabbitmq):
    return str(rabbitmq.authority.cafile)


def cached(request):
    return [TaskResult(image, Outcome.CACHED) for image in request.images]


def run_compute(ended, conf, url, host):
    """Run the compute of a host on this bus: it answers calls and sends heartbeats."""
    bus = open_bus(conf, url)
    server = ComputeServer(bus=bus, host=host, compute=PlayedHost(cached))
    ended.callback(bus.close)
    ended.callback(server.stop, PATIENCE)
    server.start()
    assert server.wait_until_listening(LISTENS_WITHIN), bus.state.reason
    return BusReports(bus=bus)


def beat(reports, host):
    reports.store_heartbeats([Heartbeat(host, "", "fake", datetime.now(UTC))])


def run_conductor(ended, urls):
    """Return the reports that a conductor gets on these cells' buses, and its gateway to their hosts."""
    hearing = Hearing()
    cells = CellBuses(
        conf=new_conf(),
        cells=Cells(urls),
        on_heartbeat=hearing.beats.append,
        on_progress=hearing.add,
        on_cache_report=hearing.cache_reports.append,
        clock=SystemClock(),
    )
    cells.start()
    ended.callback(cells.stop, PATIENCE)
    hosts = OsloComputes(
        buses=cells.bus_of, long_rpc_timeout=timedelta(seconds=60), call_monitor_timeout=timedelta(seconds=10)
    )
    ended.callback(hosts.stop)
    return hearing, hosts


def failure(conf, url):
    """Return the error of a message that could not be sent."""
    bus = open_bus(conf, url)
    try:
        with pytest.raises(BusUnavailable) as caught:
            bus.cast("nobody", "ping", {})
    finally:
        bus.close()
    assert PASSWORD not in str(caught.value)
    assert bus.state.reason == caught.value.reason
    return caught.value.reason


def test_cells_with_tls_and_without_work_side_by_side(ended, rabbitmq, cell_url, ca):
    plain_url = rabbitmq.fresh_url()
    tls_url = rabbitmq.tls_url(cell_url)
    in_conf, in_url = new_conf(ssl=True, ssl_ca_file=ca), rabbitmq.tls_url(cell_url, f"ssl=1&ssl_ca_file={ca}")
    computes = [
        ("safe", "cmp-1", run_compute(ended, in_conf, tls_url, "cmp-1")),
        ("safe", "cmp-2", run_compute(ended, new_conf(), in_url, "cmp-2")),
        ("plain", "cmp-3", run_compute(ended, new_conf(), plain_url, "cmp-3")),
    ]
    hearing, hosts = run_conductor(ended, {"safe": in_url, "plain": plain_url})

    for cell, host, reports in computes:
        results = hosts.process_images(ImagesRequest("job", host, cell, (ImageOrder(IMAGE),)))
        assert [result.outcome for result in results] == [Outcome.CACHED]
        wait_until(lambda host=host, reports=reports: beat(reports, host) or host in hearing.hosts)  # once it listens

    assert {(beat.cell, beat.host) for beat in hearing.beats} == {(cell, host) for cell, host, _ in computes}


def test_the_url_turns_off_what_the_configuration_turns_on(rabbitmq, cell_url):
    bus = open_bus(new_conf(ssl=True), f"{cell_url}?ssl=0")

    bus.cast("nobody", "ping", {})

    bus.close()


def test_the_port_of_a_broker_is_looked_at_before_its_certificate(rabbitmq, cell_url, ca):
    reason = failure(new_conf(), f"{cell_url}?ssl=1&ssl_ca_file={ca}")

    assert reason == "there is no TLS on this port; correct the port, which is 5671 as a rule"


def test_a_connection_without_tls_to_a_port_for_tls_is_recognized(rabbitmq, cell_url):
    reason = failure(new_conf(), rabbitmq.tls_url(cell_url))

    assert reason.endswith(
        "closed the connection at once; if this is its port for TLS, set [oslo_messaging_rabbit] ssl"
    )


def test_an_authority_that_was_not_named_is_not_believed(rabbitmq, cell_url, tmp_path):
    stranger = Authority(tmp_path).cafile
    for query in ("ssl=1", f"ssl=1&ssl_ca_file={stranger}"):
        reason = failure(new_conf(), rabbitmq.tls_url(cell_url, query))

        assert reason.startswith("its certificate is not accepted (")
        assert "[oslo_messaging_rabbit] ssl_ca_file" in reason


def test_the_certificate_of_another_broker_is_refused(rabbitmq, cell_url, ca):
    url = rabbitmq.tls_url(cell_url, f"ssl=1&ssl_ca_file={ca}").replace("127.0.0.1", "localhost")

    if not checks_names(new_conf()):
        assert "does not check the name" in open_bus(new_conf(), url).tls_weakness[0]  # which the doctor reports
        return
    assert failure(new_conf(), url).startswith("its certificate is not valid for localhost; correct the host")


def test_another_broker_of_the_url_takes_over_where_its_certificate_names_both(rabbitmq, cell_url, ca):
    vhost = cell_url.rpartition("/")[2]
    hosts = ",".join(f"{USER}:{PASSWORD}@{name}:{rabbitmq.tls_port}" for name in NAMES)

    for _ in range(4):  # which broker is tried first is random
        bus = open_bus(new_conf(), f"rabbit://{hosts}/{vhost}?ssl=1&ssl_ca_file={ca}")
        bus.cast("nobody", "ping", {})
        bus.close()


def test_a_certificate_that_has_expired_is_refused_until_it_is_renewed(rabbitmq, cell_url, ca):
    url = rabbitmq.tls_url(cell_url, f"ssl=1&ssl_ca_file={ca}")

    with rabbitmq.expired_certificate():
        assert failure(new_conf(), url) == "its certificate has expired; renew it on the broker"

    bus = open_bus(new_conf(), url)
    bus.cast("nobody", "ping", {})
    bus.close()


def test_a_compute_that_started_before_its_certificate_was_right_listens_once_it_is(
    ended, rabbitmq, cell_url, ca, caplog
):
    with rabbitmq.expired_certificate():
        bus = open_bus(new_conf(), rabbitmq.tls_url(cell_url, f"ssl=1&ssl_ca_file={ca}"))
        server = ComputeServer(bus=bus, host="cmp-1", compute=PlayedHost(cached))
        ended.callback(bus.close)
        ended.callback(server.stop, PATIENCE)

        server.start()
        beat(BusReports(bus=bus), "cmp-1")
        # Threads of the bus find it out, in their own time.
        wait_until(lambda: "certificate has expired; renew it" in caplog.text)

    assert server.wait_until_listening(LISTENS_WITHIN)
