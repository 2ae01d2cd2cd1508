"""Hosts ask the conductors of their cell for their relays, over a real bus."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.bus_oslo import BusReports, BusSwarmPlanner, CellBuses
from precache.adapters.bus_oslo.relay_server import ANSWER_WITHIN
from precache.adapters.clock_system import SystemClock
from precache.core.cells import Cell
from precache.core.errors import ConductorUnreachable, RelayRefused, StoreUnavailable
from precache.core.hosts import Heartbeat
from precache.core.images import parse_image_id
from precache.core.relays import Assignment, Form, JoinRequest, Peer, RelayReport, ReportKind, Source
from precache.core.swarm_certificates import HostCertificate
from precache.core.swarm_checks import SwarmState
from tests.contract.buses import PATIENCE, BusWorld, new_conf
from tests.contract.hearing import Hearing
from tests.played_host import PlayedHost
from tests.waiting import wait_until

pytestmark = pytest.mark.external

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
JOIN = JoinRequest(host="cmp-1", cell="", job_id="job", image=IMAGE, form=Form.RAW, address="", key="")
REPORT = RelayReport(relay="relay-1", host="cmp-1", kind=ReportKind.SLOW, parent="cmp-2")
CERTIFICATE = HostCertificate("certificate", "authority", NOW)


class Conductor:
    """The port `SwarmPlanner`: keeps what it was asked, and lets every host wait; raises `error` if there is one."""

    def __init__(self):
        self.asked, self.error, self.go_on = [], None, threading.Event()
        self.go_on.set()

    def join(self, request):
        return self._answer(request, Assignment(relay="relay-1", host=request.host, version=1, source=Source.WAIT))

    def report(self, report):
        return self._answer(report, Assignment(relay="relay-1", host=report.host, version=2, source=Source.WAIT))

    def certify(self, host, cell, signing_request):
        return self._answer((host, cell, signing_request), CERTIFICATE)

    def _answer(self, question, answer):
        self.asked.append(question)
        self.go_on.wait(PATIENCE.total_seconds())
        if self.error is not None:
            raise self.error
        return answer


class Table:
    """The port `CellQueries` with one cell."""

    def __init__(self, url):
        self.url = url

    def list_cells(self):
        return [Cell("cell1", self.url)]


@pytest.fixture
def ended():
    with ExitStack() as stops:
        yield stops


@pytest.fixture
def world(cell_url, ended):
    made = BusWorld(cell_url)
    ended.callback(made.close)
    return made


@pytest.fixture
def hearing():
    return Hearing()


@pytest.fixture
def conductor(world, ended, hearing):
    """Return a conductor that answers hosts of the cell."""
    planner = Conductor()
    cells = CellBuses(
        conf=new_conf(),
        cells=Table(world.url),
        on_heartbeat=hearing.beats.append,
        on_progress=hearing.add,
        on_cache_report=hearing.cache_reports.append,
        clock=SystemClock(),
    )
    cells.start(planner)
    ended.callback(cells.stop, timedelta(seconds=3))
    ended.callback(planner.go_on.set)
    host = BusSwarmPlanner(bus=world.bus())
    wait_until(lambda: answers(host))
    planner.asked.clear()
    return planner


def answers(host):
    try:
        host.certify("cmp-0", "", "")
    except ConductorUnreachable:
        return False
    return True


def test_a_conductor_answers_each_question_and_adds_the_cell(world, conductor):
    host = BusSwarmPlanner(bus=world.bus())

    answered = host.join(JOIN), host.report(REPORT), host.certify("cmp-1", "", "request")

    assert [answered[0].version, answered[1].version, answered[2]] == [1, 2, CERTIFICATE]
    assert conductor.asked == [
        replace(JOIN, cell="cell1"),
        replace(REPORT, cell="cell1"),
        ("cmp-1", "cell1", "request"),
    ]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (RelayRefused("cmp-1", "no task asks for it"), RelayRefused, "no task asks for it"),
        (StoreUnavailable("it is full"), ConductorUnreachable, "database is not available: it is full"),
        (ConductorUnreachable("it waits"), ConductorUnreachable, "^No conductor answered: it waits;"),
        (KeyError("x"), ConductorUnreachable, "unexpected error"),
    ],
)
def test_why_a_conductor_gives_no_answer_comes_back(world, conductor, error, kind, words):
    conductor.error = error

    with pytest.raises(kind, match=words):
        BusSwarmPlanner(bus=world.bus()).join(JOIN)


def test_without_a_conductor_for_swarms_the_error_says_so_at_once(world):
    with pytest.raises(ConductorUnreachable, match="none that serves swarms listens"):
        BusSwarmPlanner(bus=world.bus(), within=PATIENCE).join(JOIN)


def test_conductors_that_are_busy_with_relays_still_hear_heartbeats(world, conductor, hearing):
    conductor.go_on.clear()
    host = BusSwarmPlanner(bus=world.bus(), within=timedelta(seconds=1))
    asking = [threading.Thread(target=lambda: answers(host)) for _ in range(8)]
    for each in asking:
        each.start()
    wait_until(lambda: len(conductor.asked) == 8)

    BusReports(bus=world.bus()).store_heartbeats([Heartbeat("cmp-9", "", "fake", NOW)])

    wait_until(lambda: hearing.beats)
    with pytest.raises(ConductorUnreachable, match="none answered within 1 seconds"):
        host.join(JOIN)
    conductor.go_on.set()
    for each in asking:
        each.join()


def test_questions_whose_hosts_no_longer_wait_are_not_worked_on(world, conductor):
    conductor.go_on.clear()
    host = BusSwarmPlanner(bus=world.bus(), within=timedelta(seconds=1))
    asking = [threading.Thread(target=lambda: answers(host)) for _ in range(8)]
    for each in asking:
        each.start()
    wait_until(lambda: len(conductor.asked) == 8)
    for _ in range(3):
        with pytest.raises(ConductorUnreachable):
            host.join(JOIN)
    for each in asking:
        each.join()
    time.sleep(ANSWER_WITHIN.total_seconds())

    conductor.go_on.set()

    wait_until(lambda: answers(host))
    assert JOIN not in [replace(each, cell="") for each in conductor.asked if isinstance(each, JoinRequest)]


def test_a_broker_that_is_down_fails_a_question_in_time(rabbitmq, ended):
    rabbitmq.start()
    world = BusWorld(rabbitmq.fresh_url())
    ended.callback(world.close)
    host = BusSwarmPlanner(bus=world.bus(), within=timedelta(seconds=2))
    with pytest.raises(ConductorUnreachable, match="listens"):
        host.join(JOIN)

    rabbitmq.kill()
    began = datetime.now(UTC)
    with pytest.raises(ConductorUnreachable):
        host.join(JOIN)
    took = datetime.now(UTC) - began
    rabbitmq.start()

    assert took < timedelta(seconds=8)
    wait_until(lambda: _finds_no_conductor(host), timeout_s=60)


def _finds_no_conductor(host):
    """Return whether the broker is reached again, and says that no conductor is there."""
    try:
        host.join(JOIN)
    except ConductorUnreachable as error:
        return "listens" in str(error)
    return False


@pytest.mark.parametrize("peer", [None, Peer("cmp-2", "192.0.2.8:8785")])
def test_a_host_is_asked_for_its_state_and_to_try_another_one(world, peer):
    state, asked = SwarmState("192.0.2.7:8785", NOW, "no answer within 3 s"), []

    def check(peer):
        asked.append(peer)
        return state

    world.join("cmp-1", PlayedHost(lambda request: [], check_swarm=check))

    assert world.gateway().check_swarm("cmp-1", "cell1", peer, PATIENCE) == state
    assert asked == [peer]
