"""Sites that receive images from other sites: once for each, and never the other way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from precache.core.images import ImageId
from precache.core.relays import Form, MemberState, Relay, RelayKey, RelayMember, RelayReport, ReportKind, Source
from precache.rules.relay_plan import joined, reported
from precache.rules.relay_sites import sites_above, top_site

PARENTS = {"edge1": "region", "edge2": "region", "region": "core"}
KEY = RelayKey("cell1", "region", ImageId("70a599e0-31e7-49b7-b260-868f441e862b"), Form.RAW)


class Sites:
    """One relay over several sites, without the one at the top: a host is in the site that its name begins with."""

    def __init__(self, *hosts: str) -> None:
        self.now = datetime(2026, 11, 30, tzinfo=UTC)
        self.relay = Relay(id="relay", key=KEY)
        for host in hosts:
            self.join(host)

    def join(self, host: str) -> None:
        site = host.partition("-")[0]
        above = ("region",) if site != "region" else ()
        member = RelayMember(host=host, address=f"{host}:8785", key=f"key-{host}", site=site, above=above)
        self.relay = joined(self.relay, member, self.now)

    def report(self, host: str, kind: ReportKind, **said: object) -> None:
        self.now += timedelta(seconds=2)
        version = self.relay.member(host).version
        report = RelayReport(relay="relay", host=host, kind=kind, version=version, **said)
        self.relay = reported(self.relay, report, self.now)

    def ways(self) -> dict[str, str]:
        return {
            each.host: each.parent or each.source.value
            for each in self.relay.members
            if each.state is not MemberState.LEFT
        }


@pytest.mark.parametrize(
    ("site", "above", "top"),
    [("edge1", ("region", "core"), "core"), ("region", ("core",), "core"), ("core", (), "core"), ("x", (), "x")],
)
def test_a_site_receives_from_those_above_it_the_nearest_first(site, above, top):
    assert sites_above(site, PARENTS) == above
    assert top_site(site, above) == top


def test_one_host_of_each_site_receives_from_the_site_above():
    sites = Sites("region-1", "edge1-1", "edge2-1", "edge1-2", "region-2", "edge2-2")

    ways = sites.ways()

    assert ways["region-1"] == "image_service"
    assert ways["region-2"] in ("region-1",)
    assert ways["edge1-1"].startswith("region")
    assert ways["edge2-1"].startswith("region")
    assert (ways["edge1-2"], ways["edge2-2"]) == ("edge1-1", "edge2-1")


def test_no_host_receives_from_a_site_below_or_beside():
    sites = Sites("edge1-1")
    sites.report("edge1-1", ReportKind.PROGRESS, size_bytes=9, have_bytes=1)
    sites.join("region-1")
    sites.join("edge2-1")

    assert sites.ways() == {"edge1-1": "image_service", "region-1": "wait", "edge2-1": "wait"}

    sites.report("edge1-1", ReportKind.COMPLETE, size_bytes=9, have_bytes=9, root="tree-sha256:1b")

    assert sites.ways()["region-1"] == "image_service"
    assert sites.ways()["edge2-1"] == "region-1"


def test_a_seeder_that_has_nothing_yet_gives_way_to_a_host_of_the_site_above():
    sites = Sites("edge1-1", "edge1-2", "region-1", "edge2-1", "region-2")

    ways = sites.ways()
    assert [host for host, way in ways.items() if way == "image_service"] == ["region-1"]
    assert ways["edge1-1"].startswith("region")
    assert ways["edge1-2"] == "edge1-1"
    assert ways["edge2-1"].startswith("region")


def test_if_the_first_host_of_a_site_is_lost_the_next_one_takes_its_place():
    sites = Sites("region-1", "edge1-1", "edge1-2", "edge1-3")

    sites.report("edge1-2", ReportKind.LOST_PARENT, parent="edge1-1", lost=("edge1-1",))

    assert sites.ways()["edge1-2"] == "region-1"
    assert sites.ways()["edge1-3"] == "edge1-2"


def test_a_host_that_joins_later_receives_from_one_of_its_own_site_that_is_complete():
    sites = Sites("region-1", "edge1-1")
    for host in ("region-1", "edge1-1"):
        sites.report(host, ReportKind.COMPLETE, size_bytes=9, have_bytes=9, root="tree-sha256:1b")

    sites.join("edge1-2")

    assert sites.ways()["edge1-2"] == "edge1-1"


def test_a_seeder_of_the_site_above_is_followed_by_a_host_of_that_site():
    sites = Sites("region-1", "edge1-1", "region-2", "edge1-2")

    sites.report("region-1", ReportKind.LEFT)

    assert sites.ways()["region-2"] == Source.IMAGE_SERVICE.value
    assert sites.ways()["edge1-1"] == "region-2"
    assert sites.ways()["edge1-2"] == "edge1-1"
