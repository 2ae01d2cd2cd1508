"""How often hosts of relays report, and in which order they are called."""

import pytest

from precache.core.relays import RelayMember, Source
from precache.rules.relay_assignment import report_interval_of, report_interval_s
from precache.rules.relay_call_order import CalledHost, call_order


@pytest.mark.parametrize("hosts", [1, 600, 3_000, 10_000, 16_000])
def test_reports_and_heartbeats_of_all_hosts_leave_room_within_600_messages_a_second(hosts):
    interval = report_interval_s(hosts)
    assert interval >= 2
    assert hosts / interval + hosts / 30 <= 600


def test_reports_go_on_when_heartbeats_alone_take_all():
    assert report_interval_s(100_000) == pytest.approx(100_000 / 60)


@pytest.mark.parametrize(
    "member", [RelayMember(host="h", source=Source.IMAGE_SERVICE), RelayMember(host="h", is_leaf=True)]
)
def test_hosts_that_fetch_from_the_image_service_and_slow_ones_report_more_often(member):
    assert report_interval_of(member, 40) == 5
    assert report_interval_of(member, 2) == 2
    assert report_interval_of(RelayMember(host="h", source=Source.HOST), 40) == 40


def test_the_best_uplinks_are_called_first_then_the_others_by_their_links():
    hosts = [
        CalledHost(host="slow", link_bytes_per_s=1, uplink_bytes_per_s=99),
        CalledHost(host="other", link_bytes_per_s=9),
        CalledHost(host="unknown"),
        CalledHost(host="busy", busy_tasks=3, uplink_bytes_per_s=90, link_bytes_per_s=11),
        CalledHost(host="standby", uplink_bytes_per_s=50, link_bytes_per_s=10),
        CalledHost(host="seeder", uplink_bytes_per_s=80, link_bytes_per_s=10),
    ]
    assert call_order(hosts) == ["seeder", "standby", "busy", "unknown", "other", "slow"]
