"""A conductor asks many hosts what they hold, and each host gets exactly one report."""

import math
import threading
from datetime import timedelta

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.computes_inprocess import InProcessComputes
from precache.adapters.inventory_memory import MemoryInventory
from precache.background.daemon_pool import DaemonPool
from precache.conductor.survey_hosts import SurveyHosts
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.errors import CacheNotDescribed
from precache.core.host_survey import HostReport, HostStanding, Survey
from precache.core.hosts import Heartbeat
from precache.core.images import parse_image_id
from precache.rules.group_by_cell import RpcRequirement
from tests.played_host import PlayedHost

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
SIZES = (ImageSize(IMAGE, 100),)
HOLDS = CacheContents(frozenset({IMAGE}), 0, 500)
DOWN_TIME = timedelta(seconds=60)
LONG = timedelta(seconds=30)


class Fleet:
    """Hosts of two cells, each with a function that describes its cache."""

    def __init__(self, hosts, version="1.3"):
        self.clock = MemoryClock()
        self.inventory = MemoryInventory(clock=self.clock)
        self.computes = InProcessComputes()
        for number, (name, describe) in enumerate(hosts.items()):
            self.beat(name, f"cell{number % 2 + 1}", version)
            self.computes.join(name, PlayedHost(list, describe_cache=describe))

    def beat(self, name, cell, version="1.3"):
        self.inventory.store_heartbeats([Heartbeat(name, cell, "fake", self.clock.now(), version)])

    def ask(self, *names, all_within=LONG, listening_for_s=lambda cell: math.inf):
        survey = SurveyHosts(
            hosts=self.inventory,
            caches=self.computes,
            pool=DaemonPool(4),
            service_down_time=DOWN_TIME,
            requirement=RpcRequirement(needed="1.3"),
            listening_for_s=listening_for_s,
            limits=Survey({}, 7),
            can_swarm=lambda host: host.rpc_version == "1.5",
            all_within=all_within,
        )
        return survey.ask(names, SIZES)


def holds(images):
    return HOLDS


def test_every_host_is_reported_once_in_the_order_of_the_request():
    fleet = Fleet({f"cmp-{number}": holds for number in range(20)})
    names = [f"cmp-{number}" for number in reversed(range(20))]

    survey = fleet.ask(*names, "cmp-3", "cmp-3")

    assert list(survey.reports) == names
    assert survey.reports["cmp-0"] == HostReport(HostStanding.ANSWERED, "cell1", "cell1", HOLDS)
    assert survey.hosts_at_once == 7


def test_a_host_that_is_down_is_not_asked():
    fleet = Fleet({"cmp-1": holds})
    fleet.clock.sleep(DOWN_TIME + timedelta(seconds=1))

    report = fleet.ask("cmp-1").reports["cmp-1"]

    assert (report.standing, report.cell, report.reason) == (HostStanding.DOWN, "cell1", "")


def test_a_host_of_which_heartbeats_may_have_been_missed_is_unknown():
    fleet = Fleet({"cmp-1": holds})
    fleet.clock.sleep(DOWN_TIME + timedelta(seconds=1))

    report = fleet.ask("cmp-1", listening_for_s=lambda cell: 1.0).reports["cmp-1"]

    assert report.standing is HostStanding.UNKNOWN
    assert "not yet listened" in report.reason


def test_a_host_of_an_earlier_release_is_unknown_and_both_versions_are_named():
    report = Fleet({"cmp-1": holds}, version="1.2").ask("cmp-1").reports["cmp-1"]

    assert (report.standing, report.cell) == (HostStanding.UNKNOWN, "cell1")
    assert "version 1.3 of the messages is needed" in report.reason
    assert "speaks version 1.2; update Precache on the host" in report.reason


def test_a_host_that_no_compute_has_announced_is_unknown():
    report = Fleet({}).ask("cmp-1").reports["cmp-1"]

    assert (report.standing, report.cell) == (HostStanding.UNKNOWN, None)
    assert "no Precache compute has ever sent a heartbeat" in report.reason


def cannot(images):
    raise CacheNotDescribed("volume")


def is_broken(images):
    raise KeyError("held")


@pytest.mark.parametrize(("describe", "reason"), [(cannot, "driver volume"), (is_broken, "unexpected KeyError")])
def test_a_host_that_fails_is_unknown_and_the_others_are_not_affected(describe, reason):
    reports = Fleet({"cmp-1": describe, "cmp-2": holds}).ask("cmp-1", "cmp-2").reports

    assert reports["cmp-1"].standing is HostStanding.UNKNOWN
    assert reason in reports["cmp-1"].reason
    assert reports["cmp-2"].contents == HOLDS


def test_a_host_that_is_up_without_a_compute_is_unknown():
    fleet = Fleet({"cmp-1": holds})
    fleet.computes.leave("cmp-1")

    assert "no Precache compute runs there" in fleet.ask("cmp-1").reports["cmp-1"].reason


def test_the_time_for_all_hosts_is_bounded_and_who_is_late_is_unknown():
    is_over = threading.Event()

    def hangs(images):
        is_over.wait(30)
        return HOLDS

    fleet = Fleet({f"cmp-{number}": hangs for number in range(10)})
    try:
        reports = fleet.ask("cmp-0", "cmp-9", all_within=timedelta()).reports
    finally:
        is_over.set()

    assert {report.standing for report in reports.values()} == {HostStanding.UNKNOWN}
    assert "no answer within the 0 seconds" in reports["cmp-9"].reason


def test_hosts_that_are_up_say_whether_they_can_pass_images_on_also_if_they_do_not_answer():
    def fails(_images):
        raise CacheNotDescribed

    fleet = Fleet({"new": holds, "silent": fails, "old": holds, "down": holds}, version="1.5")
    fleet.clock.sleep(DOWN_TIME + timedelta(seconds=1))
    for name, version in {"new": "1.5", "silent": "1.5", "old": "1.4"}.items():
        fleet.beat(name, "cell1", version)

    reports = fleet.ask("new", "silent", "old", "down").reports

    assert [name for name, report in reports.items() if report.can_swarm] == ["new", "silent"]
