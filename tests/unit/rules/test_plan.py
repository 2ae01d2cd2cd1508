"""The plan of a job: every host counts once, and the bytes are those of the missing images."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.host_survey import HostReport, HostStanding, Survey
from precache.core.images import parse_image_id
from precache.core.job_options import JobOptions, Transfer
from precache.core.jobs import NewJob
from precache.core.operations import Operation
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.plans import HostNote, Listed, PlannedHost
from precache.core.transfer_rates import MeasuredRate
from precache.core.transfer_rules import TransferRules
from precache.rules.plan import MOST_LISTED, make_plan

DEBIAN = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
UBUNTU = parse_image_id("155d900f-4e14-4e4c-a73d-069cbf4541e6")
SIZES = (ImageSize(DEBIAN, 100), ImageSize(UBUNTU, 1000))
NOW = datetime(2026, 11, 30, tzinfo=UTC)
RATE = MeasuredRate(total_bytes=1000, seconds=100.0, tasks=4, jobs=2)


def plan(
    reports,
    *,
    rates=None,
    options=JobOptions(),  # noqa: B008
    limit=None,
    hosts=None,
    operation=Operation.CACHE,
    **limits_of_conductor,
):
    limits = OrderOptions(rate_limit_bytes_per_s=limit)
    job = NewJob(
        id="job",
        operation=operation,
        hosts=tuple(hosts or reports),
        orders=(ImageOrder(DEBIAN, limits), ImageOrder(UBUNTU, limits)),
        requested_by="admin",
        request_id="req-1",
        created_at=NOW,
        options=options,
    )
    return make_plan(job, SIZES, Survey(reports, **{"hosts_at_once": 2} | limits_of_conductor), rates or {}, NOW)


def answered(*held, cell="cell1", site="cell1", **contents):
    return HostReport(HostStanding.ANSWERED, cell, site, CacheContents(frozenset(held), **contents))


def test_missing_images_are_the_bytes_to_move():
    found = plan({"a": answered(DEBIAN), "b": answered(), "c": answered(DEBIAN, UBUNTU)})

    (group,) = found.groups
    assert (group.cell, group.site, group.bytes_to_move) == ("cell1", "cell1", 2100)
    assert {kind: count for kind, count in group.hosts.items() if count} == {
        PlannedHost.READY: 1,
        PlannedHost.INCOMPLETE: 2,
    }
    assert [(image.image, image.held_by, image.missing) for image in group.images] == [
        (DEBIAN, Listed(("a", "c")), 1),
        (UBUNTU, Listed(("c",)), 2),
    ]


def test_hosts_that_share_a_cache_download_once_and_all_lack_the_image():
    shared, elsewhere = replace(answered(DEBIAN), cache_id="nfs"), replace(answered(cell="cell2"), cache_id="nfs")
    found = plan({"a": shared, "b": shared, "c": elsewhere}, rates={"cell1": RATE})

    in_cell1, in_cell2 = found.groups
    assert (in_cell1.bytes_to_move, in_cell1.hosts[PlannedHost.INCOMPLETE], in_cell1.images[1].missing) == (1000, 2, 2)
    assert in_cell2.bytes_to_move == 1100
    assert in_cell1.seconds == plan({"a": shared}, rates={"cell1": RATE}).groups[0].seconds


def test_what_the_images_occupy_is_added_up_once_for_a_shared_cache():
    shared = replace(answered(DEBIAN, held_bytes={DEBIAN: 60}), cache_id="nfs")
    found = plan({"a": shared, "b": shared, "c": answered(DEBIAN, held_bytes={DEBIAN: 5}), "old": answered(DEBIAN)})

    (group,) = found.groups
    assert [(image.held_by.count, image.held_bytes) for image in group.images] == [(4, 65), (0, None)]


@pytest.mark.parametrize("operation", [operation for operation in Operation if operation is not Operation.CACHE])
def test_another_operation_moves_nothing_and_needs_no_space(operation):
    full = answered(DEBIAN, needed_bytes=9, free_bytes=1, held_bytes={DEBIAN: 60})
    found = plan({"a": full, "b": answered()}, rates={"cell1": RATE}, operation=operation)

    (group,) = found.groups
    assert (group.bytes_to_move, group.lacking_space, found.lacking_space.hosts) == (0, 0, ())
    assert (group.hosts[PlannedHost.INCOMPLETE], group.seconds) == (2, None)
    assert group.images[0].held_by == Listed(("a",))
    assert (found.estimate.seconds, found.estimate.tasks, found.estimate.ends_at) == (None, 0, None)
    assert found.estimate.reason == f"the time of a job with the operation {operation} is not estimated"


def test_hosts_are_grouped_by_cell_and_site():
    found = plan({"a": answered(site="paris"), "b": answered(site="oslo"), "c": answered(cell="cell2", site="paris")})

    assert [(group.cell, group.site) for group in found.groups] == [
        ("cell1", "paris"),
        ("cell1", "oslo"),
        ("cell2", "paris"),
    ]


def test_hosts_that_need_attention_are_named_with_the_reason():
    found = plan(
        {
            "small": answered(needed_bytes=1100, free_bytes=1099),
            "enough": answered(needed_bytes=1100, free_bytes=1100),
            "promised": answered(needed_bytes=1100, free_bytes=1199, promised_bytes=60, reserve_bytes=40),
            "fits": answered(needed_bytes=1100, free_bytes=1200, promised_bytes=60, reserve_bytes=40),
            "asleep": HostReport(HostStanding.DOWN, "cell1", "cell1"),
            "old": HostReport(HostStanding.UNKNOWN, "cell1", "cell1", reason="too old"),
            "ceph": answered(unsupported="images_type is rbd"),
        },
        hosts=("small", "enough", "promised", "fits", "asleep", "old", "ceph", "nowhere"),
    )

    assert found.lacking_space.hosts == (
        HostNote("small", "cell1", "cell1", "", 1100, 1099),
        HostNote("promised", "cell1", "cell1", "", 1100, 1199, 60, 40),
    )
    assert [note.host for note in found.down.hosts] == ["asleep"]
    assert [(note.host, note.cell, note.reason) for note in found.unknown.hosts] == [
        ("old", "cell1", "too old"),
        ("nowhere", None, "there was no report about this host"),
    ]
    assert [(note.host, note.reason) for note in found.unsupported.hosts] == [("ceph", "images_type is rbd")]
    assert found.groups[0].lacking_space == 2


def test_lists_are_bounded_and_say_how_many_more_there_are():
    down = {f"cmp-{number}": HostReport(HostStanding.DOWN, "cell1", "cell1") for number in range(1000)}
    holders = {f"full-{number}": answered(DEBIAN, UBUNTU) for number in range(1000)}

    found = plan(down | holders)

    assert (len(found.down.hosts), found.down.more) == (MOST_LISTED, 1000 - MOST_LISTED)
    assert [image.held_by.count for image in found.groups[0].images] == [1000, 1000]
    assert len(found.groups[0].images[0].held_by.hosts) == MOST_LISTED


def test_the_time_is_estimated_from_measured_rates_and_their_number_is_given():
    found = plan({"a": answered(), "b": answered(UBUNTU)}, rates={"cell1": RATE})

    assert found.estimate.seconds == 110  # 1100 bytes at 10 bytes per second, and the other host beside it
    assert (found.estimate.tasks, found.estimate.jobs, found.estimate.hosts_at_once) == (4, 2, 2)
    assert found.estimate.begins_at == NOW


def test_limits_of_the_request_slow_the_job_down():
    reports = {"a": answered(), "b": answered()}

    assert plan(reports, rates={"cell1": RATE}, limit=5).estimate.seconds == 220
    assert plan(reports, rates={"cell1": RATE}, options=JobOptions(parallelism=1)).estimate.seconds == 220
    assert plan(reports, rates={"cell1": RATE}, options=JobOptions(parallelism=99)).estimate.seconds == 110
    limited = plan(reports, rates={"cell1": RATE}, options=JobOptions(job_rate_limit_bytes_per_s=1))
    assert limited.estimate.seconds == 2200


def test_limits_of_the_conductor_slow_the_job_down():
    reports = {"a": answered(site="paris"), "b": answered(site="oslo")}

    assert plan(reports, rates={"cell1": RATE}, hosts_at_once=1).estimate.seconds == 220
    assert plan(reports, rates={"cell1": RATE}, hosts_per_cell=1).estimate.seconds == 220
    assert plan(reports, rates={"cell1": RATE}, hosts_per_site=1).estimate.seconds == 110
    assert plan(reports, rates={"cell1": RATE}, host_bytes_per_s=5).estimate.seconds == 220
    both = plan(reports, rates={"cell1": RATE}, hosts_at_once=9, options=JobOptions(parallelism=1))
    assert (both.estimate.seconds, both.estimate.hosts_at_once) == (220, 1)


def test_a_cell_that_was_not_measured_makes_the_time_unknown_and_is_named():
    found = plan({"a": answered(), "b": answered(cell="cell2", site="cell2")}, rates={"cell1": RATE})

    assert found.estimate.seconds is None
    assert found.estimate.reason == "no download of a recent job was measured in cell2"
    assert [group.seconds for group in found.groups] == [110, None]


def test_nothing_to_move_takes_no_time_even_if_nothing_was_measured():
    found = plan({"a": answered(DEBIAN, UBUNTU)})

    assert (found.estimate.seconds, found.estimate.reason) == (0, "")


REPORTS = st.dictionaries(
    st.integers(0, 99).map("cmp-{}".format),
    st.builds(
        HostReport,
        st.sampled_from(HostStanding),
        st.sampled_from(["cell1", "cell2"]),
        st.sampled_from(["a", "b"]),
        st.builds(
            CacheContents,
            st.frozensets(st.sampled_from([DEBIAN, UBUNTU])),
            st.none() | st.integers(0, 2000),
            st.none() | st.integers(0, 2000),
            st.sampled_from(["", "rbd"]),
        ),
    ),
    min_size=1,
    max_size=40,
)


@given(REPORTS)
def test_every_host_is_counted_once(reports):
    found = plan(reports)

    assert sum(sum(group.hosts.values()) for group in found.groups) == len(reports)
    for kind, notes in (("down", found.down), ("unknown", found.unknown), ("unsupported", found.unsupported)):
        counted = sum(group.hosts[PlannedHost(kind)] for group in found.groups)
        assert counted == len(notes.hosts) + notes.more
    for group in found.groups:
        answered_hosts = group.hosts[PlannedHost.READY] + group.hosts[PlannedHost.INCOMPLETE]
        assert all(image.missing <= answered_hosts for image in group.images)
        assert group.lacking_space <= group.hosts[PlannedHost.INCOMPLETE]
        assert (group.bytes_to_move == 0) == (group.hosts[PlannedHost.INCOMPLETE] == 0)


def able(*held, **fields):
    return replace(answered(*held, **fields), can_swarm=True)


def test_a_site_by_swarm_has_one_copy_of_each_image_from_the_image_service_and_says_why():
    reports = {"a": able(DEBIAN), "b": able(), "c": able(), "old": answered(), "far": able(site="edge")}

    found = plan(reports, rates={"cell1": RATE}, swarm=TransferRules(), swarm_hosts_at_once=500)

    here, far = found.groups
    assert (here.by_swarm, here.transfer_reason) == (True, "3 hosts can pass images on, and [swarm] min_hosts is 3")
    assert (here.bytes_to_move, here.image_service_bytes) == (1000 + 3 * 1100, 100 + 1000 + 1100)
    assert (far.by_swarm, far.image_service_bytes) == (False, 1100)
    assert here.seconds == pytest.approx(1100 / 10 + 0.2)


@pytest.mark.parametrize(
    ("transfer", "swarm", "operation", "by_swarm", "sent"),
    [
        (Transfer.AUTO, TransferRules(), Operation.CACHE, True, 1100),
        (Transfer.AUTO, TransferRules(attestations=2), Operation.CACHE, True, 2200),
        (Transfer.DIRECT, TransferRules(), Operation.CACHE, False, 3300),
        (Transfer.AUTO, None, Operation.CACHE, None, 3300),
        (Transfer.AUTO, TransferRules(), Operation.VERIFY, None, 0),
    ],
)
def test_the_plan_follows_the_option_of_the_job_and_what_the_conductor_says(transfer, swarm, operation, by_swarm, sent):
    options, hosts = JobOptions(transfer=transfer), {name: able() for name in "abc"}

    (group,) = plan(hosts, options=options, swarm=swarm, swarm_hosts_at_once=500, operation=operation).groups

    assert (group.by_swarm, group.image_service_bytes) == (by_swarm, sent)


def test_an_image_crosses_the_uplink_once_for_a_tree_of_sites():
    reports = {"shop": able(site="shop"), "a": able(site="region"), "b": able(site="region")}
    rules = TransferRules(site_parents={"shop": "region"})

    shop, region = plan(reports, swarm=rules, swarm_hosts_at_once=500).groups

    assert (shop.by_swarm, shop.bytes_to_move, shop.image_service_bytes) == (True, 1100, 0)
    assert (region.by_swarm, region.image_service_bytes) == (True, 1100)
