"""What every store of relays does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from precache.core.host_rates import HostRates
from precache.core.jobs import JobState, Outcome, TaskResult
from precache.core.relays import Form, MemberState, RelayKey, RelayMember, Source
from precache.ports.relay_store import MemberProgress
from tests.contract.job_values import DEBIAN, NOW, SECOND, UBUNTU, asked, claim, ended, finish, job_id, new_job

KEY = RelayKey("cell1", "north", DEBIAN, Form.RAW)
MEMBER = RelayMember(host="cmp-1", joined_at=NOW, reported_at=NOW)
FULL = replace(
    MEMBER,
    host="cmp-2",
    address="192.0.2.7:8785",
    key="0a" * 32,
    state=MemberState.COMPLETE,
    source=Source.HOST,
    parent="cmp-1",
    is_leaf=True,
    have_bytes=2**40,
    lost=("cmp-3", "cmp-4"),
    root="tree-sha256:1b",
    version=7,
    slow_since=NOW,
)
HOUR = timedelta(hours=1)


def with_members(*members, **fields):
    """Return the rule that adds these members."""
    return lambda relay, now: replace(relay, members=relay.members + members, **fields)


def made(stores, *members, key=KEY, **fields):
    """Return a stored relay with these members."""
    return stores.relays.change_by_key(key, 1, with_members(*members, **fields)).after


def changed_member(stores, relay, host, *, is_quiet=False, **fields):
    """Change one member, and return what the store says."""

    def change(found, now):
        members = (replace(each, **fields) if each.host == host else each for each in found.members)
        return replace(found, members=tuple(members))

    return stores.relays.change(relay.id, change, is_quiet=is_quiet)


def test_a_relay_is_made_at_the_first_change_and_then_found_by_its_key_and_id(stores):
    stores.clock.set(NOW)

    first = stores.relays.change_by_key(KEY, 2, with_members(MEMBER))
    second = stores.relays.change_by_key(KEY, 1, with_members(FULL, size_bytes=9, root="r", signers=("k", "l")))

    assert (first.before.members, first.before.attestations, first.at) == ((), 2, NOW)
    assert (second.before, second.after.created_at) == (first.after, NOW)
    assert second.after.members == (MEMBER, FULL)
    assert stores.relays.find(first.after.id) == second.after


@pytest.mark.parametrize(
    "change", [{"cell": "cell2"}, {"site": "NORTH"}, {"image": UBUNTU}, {"form": Form.AS_IS}], ids=str
)
def test_each_key_has_a_relay_of_its_own(stores, change):
    assert made(stores, MEMBER).id != made(stores, MEMBER, key=replace(KEY, **change)).id


def test_an_unknown_relay_is_neither_found_nor_changed(stores):
    assert stores.relays.find("none") is None
    assert stores.relays.change("none", with_members(MEMBER)) is None
    assert stores.relays.change("none", with_members(MEMBER), is_quiet=True) is None


@pytest.mark.parametrize("is_quiet", [False, True])
@pytest.mark.parametrize(
    "fields",
    [
        {"have_bytes": 5, "reported_at": NOW + SECOND},
        {"version": 8, "source": Source.WAIT, "parent": "", "lost": ("cmp-1",)},
        {"state": MemberState.LEFT, "slow_since": None, "is_leaf": False},
        {},
    ],
    ids=["numbers", "assignment", "state", "nothing"],
)
def test_a_changed_member_is_stored(stores, fields, is_quiet):
    relay = made(stores, MEMBER, FULL)

    changed = changed_member(stores, relay, "cmp-2", is_quiet=is_quiet, **fields)

    assert changed.before == relay
    assert changed.after.members == (MEMBER, replace(FULL, **fields))
    assert stores.relays.find(relay.id) == changed.after


def test_progress_changes_the_numbers_of_one_member(stores):
    relay = made(stores, MEMBER, FULL)
    stores.clock.set(NOW + SECOND)
    progress = MemberProgress(
        host="cmp-2", state=FULL.state, version=7, have_bytes=5, offered_bytes=6, rate_bytes_per_s=8
    )

    assert stores.relays.note_progress(relay.id, progress)
    assert stores.relays.note_progress(relay.id, replace(progress, have_bytes=9, rate_bytes_per_s=0))

    changed = replace(FULL, have_bytes=9, offered_bytes=6, rate_bytes_per_s=8, reported_at=NOW + SECOND)
    assert stores.relays.find(relay.id).members == (MEMBER, changed)


@pytest.mark.parametrize("wrong", [{"host": "cmp-9"}, {"state": MemberState.ACTIVE}, {"version": 8}, {}], ids=str)
def test_progress_of_another_assignment_or_relay_changes_nothing(stores, wrong):
    relay = made(stores, MEMBER, FULL)
    progress = MemberProgress(
        host="cmp-2", state=FULL.state, version=7, have_bytes=5, offered_bytes=6, rate_bytes_per_s=8
    )

    assert not stores.relays.note_progress(relay.id if wrong else "none", replace(progress, **wrong))
    assert stores.relays.find(relay.id) == relay


@pytest.mark.parametrize("is_quiet", [False, True])
def test_changes_of_the_relay_and_of_several_members_are_stored_together(stores, is_quiet):
    relay = made(stores, MEMBER, FULL)
    wanted = replace(
        relay,
        size_bytes=7,
        reason="they do not agree",
        members=(replace(MEMBER, version=1), replace(FULL, version=8), replace(MEMBER, host="cmp-3")),
    )

    stores.relays.change(relay.id, lambda found, now: wanted, is_quiet=is_quiet)

    assert stores.relays.find(relay.id) == wanted


def test_a_member_that_a_rule_removes_is_gone(stores):
    relay = made(stores, MEMBER, FULL)

    stores.relays.change(relay.id, lambda found, now: replace(found, members=(FULL,)))

    assert stores.relays.find(relay.id).members == (FULL,)


def test_a_rule_that_raises_changes_nothing(stores):
    def refuse(relay, now):
        raise LookupError

    with pytest.raises(LookupError):
        stores.relays.change_by_key(KEY, 1, refuse)
    relay = made(stores, MEMBER)
    for is_quiet in (False, True):
        with pytest.raises(LookupError):
            stores.relays.change(relay.id, refuse, is_quiet=is_quiet)

    assert stores.relays.find(relay.id) == relay
    assert relay.members == (MEMBER,)


def test_hosts_that_join_at_once_are_all_in_one_relay(stores):
    members = [replace(MEMBER, host=f"cmp-{number}") for number in range(8)]

    with ThreadPoolExecutor(len(members)) as threads:
        relays = list(threads.map(lambda member: made(stores, member), members))

    assert len({relay.id for relay in relays}) == 1
    assert sorted(each.host for each in stores.relays.find(relays[0].id).members) == [each.host for each in members]


def test_a_quiet_report_never_undoes_an_assignment_that_is_made_meanwhile(database_stores):
    relay = made(database_stores, MEMBER, FULL)
    calls = []

    def report(found, now):
        if not calls and database_stores.database.engine.dialect.name != "sqlite":  # which has one writer at a time
            changed_member(database_stores, relay, "cmp-2", version=8, parent="cmp-9")
        calls.append(found)
        members = (MEMBER, replace(found.members[1], have_bytes=5))
        return replace(found, members=members)

    changed = database_stores.relays.change(relay.id, report, is_quiet=True)

    assert changed.after == database_stores.relays.find(relay.id)
    assert changed.after.members[1].have_bytes == 5
    assert changed.after.members[1].version == (7 if len(calls) == 1 else 8)


def test_a_halted_change_holds_up_no_quiet_report(database_stores):
    if database_stores.database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time, and one process")
    relay = made(database_stores, MEMBER, FULL)
    entered, go_on = threading.Event(), threading.Event()

    def halted(found, now):
        entered.set()
        go_on.wait(20)
        return replace(found, size_bytes=9)

    with ThreadPoolExecutor(1) as threads:
        change = threads.submit(database_stores.relays.change, relay.id, halted)
        assert entered.wait(20)
        changed = changed_member(database_stores, relay, "cmp-1", is_quiet=True, have_bytes=5)
        go_on.set()
        change.result()

    assert changed.after.members[0].have_bytes == 5
    assert database_stores.relays.find(relay.id) == replace(changed.after, size_bytes=9)


def test_relays_with_silent_active_members_are_found_in_the_order_of_their_ids(stores):
    def one(number, silent_s, **fields):
        member = replace(FULL, state=MemberState.ACTIVE, reported_at=NOW - silent_s * SECOND)
        member = replace(member, **fields)
        return made(stores, MEMBER, member, key=replace(KEY, site=f"site{number}")).id

    stores.clock.set(NOW)
    silent = [one(1, 5), one(2, 9), one(3, 6)]
    one(4, 4)
    one(5, 99, state=MemberState.COMPLETE)
    silent = sorted([*silent, made(stores, replace(MEMBER, joined_at=NOW - 7 * SECOND, reported_at=None)).id])

    assert list(stores.relays.silent_relays(5 * SECOND, 10)) == silent
    assert list(stores.relays.silent_relays(5 * SECOND, 2, after=silent[0])) == silent[1:3]
    assert stores.relays.count_active_members() == 10


def test_a_relay_is_forgotten_a_time_after_its_last_report(stores):
    stores.clock.set(NOW)
    old, recent = made(stores, MEMBER, FULL), made(stores, MEMBER, key=replace(KEY, site="south"))
    failed = made(stores, MEMBER, key=replace(KEY, site="west"), reason="they do not agree")
    changed_member(stores, recent, "cmp-1", reported_at=NOW + SECOND)
    stores.clock.set(NOW + HOUR)

    assert [stores.relays.forget(HOUR + SECOND, HOUR, 10) for _ in range(2)] == [1, 0]
    assert stores.relays.find(failed.id) is None
    assert [stores.relays.forget(HOUR, HOUR, 10) for _ in range(2)] == [1, 0]

    assert stores.relays.find(old.id) is None
    assert stores.relays.find(recent.id) is not None
    assert made(stores, MEMBER).id != old.id


def test_a_task_asks_a_host_for_an_image_until_it_has_ended(stores):
    def is_asked(host="cmp-1", image=DEBIAN, job=1):
        return stores.relay_tasks.is_asked(job_id(job), host, image)

    stores.intake.add(new_job(images=[DEBIAN]))

    assert is_asked()
    assert not any([is_asked(host="cmp-9"), is_asked(image=UBUNTU), is_asked(job=2)])

    claim(stores)
    asked(stores, "cmp-1", DEBIAN)
    assert is_asked()

    ended(stores, "cmp-1", TaskResult(DEBIAN, Outcome.CACHED))
    assert not is_asked()
    assert is_asked(host="cmp-2")

    finish(stores, JobState.FAILED)
    assert not is_asked(host="cmp-2")


def test_the_relays_of_a_job_are_those_of_its_images_in_which_hosts_of_it_take_part_for_it(stores):
    stores.intake.add(new_job(images=[DEBIAN], hosts=["cmp-1", "cmp-9"]))
    south = made(stores, replace(MEMBER, host="cmp-9"), FULL, key=replace(KEY, site="south"))
    north = made(stores, MEMBER)
    made(stores, FULL, key=replace(KEY, site="west"))
    made(stores, MEMBER, key=replace(KEY, image=UBUNTU))
    before = NOW - SECOND
    earlier = replace(MEMBER, joined_at=before, reported_at=before, state=MemberState.LEFT)
    made(stores, earlier, FULL, key=replace(KEY, site="a former site"))

    assert stores.relay_queries.relays_of_job(job_id(1)) == [north, south]
    assert stores.relay_queries.relays_of_job(job_id(2)) == []


def test_rates_of_hosts_are_kept_until_they_are_old(stores):
    stores.clock.set(NOW)
    stores.host_rates.store_rates("cmp-1", HostRates(1, 2))
    stores.host_rates.store_rates("cmp-2", HostRates(3, 4))
    stores.clock.set(NOW + HOUR)
    stores.host_rates.store_rates("cmp-1", HostRates(5, 6))

    assert stores.host_rates.find_rates(["cmp-1", "cmp-9"]) == {"cmp-1": HostRates(5, 6)}
    stores.host_rates.forget_rates(HOUR)
    assert stores.host_rates.find_rates(["cmp-2", "cmp-1"]) == {"cmp-1": HostRates(5, 6)}
    assert stores.host_rates.find_rates([]) == {}


def test_the_load_of_a_host_is_the_tasks_that_run_there_for_all_jobs(stores):
    stores.clock.set(NOW)
    for number in (1, 2):
        stores.intake.add(new_job(number, hosts=["cmp-1", "cmp-2", "cmp-3"]))
        claim(stores)
        asked(stores, "cmp-1", DEBIAN, UBUNTU, job=number)
    asked(stores, "cmp-2", DEBIAN, job=2)
    ended(stores, "cmp-1", TaskResult(DEBIAN, Outcome.CACHED), job=1)

    load = stores.host_load.running_tasks

    assert load(["cmp-1", "cmp-2", "cmp-3"]) == {"cmp-1": 3, "cmp-2": 1}
    assert load(["cmp-2", "cmp-9"]) == {"cmp-2": 1}
    assert load([]) == {}
