"""Conductors on one store plan the relays of a site together. None knows anything that the others do not know."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from precache.adapters.swarm_planner_inprocess import InProcessPlanner
from precache.core.errors import ConductorUnreachable, RelayRefused
from precache.core.images import parse_image_id
from precache.core.jobs import JobState, Outcome, TaskResult
from precache.core.relays import Form, MemberState, Peer, RelayReport, ReportKind, Source
from precache.ports.swarm_trust import RootStatement
from tests.contract.job_values import NOW, SECOND, asked, cancel, claim, ended, finish
from tests.relay_site import CELL, IMAGE, JOB, ROOT, RelaySite
from tests.waiting import wait_until


@pytest.fixture
def site(stores):
    stores.clock.set(NOW)
    return RelaySite(stores)


def chain(site, count):
    """Have so many hosts join; return their assignments."""
    return [site.join(number) for number in range(count)]


def test_hosts_that_ask_different_conductors_form_one_chain(site):
    first, second, third = chain(site, 3)

    assert {each.relay for each in (first, second, third)} == {first.relay}
    assert [each.source for each in (first, second, third)] == [Source.IMAGE_SERVICE, Source.HOST, Source.HOST]
    assert (second.parent, third.parent) == (Peer("cmp-0", "192.0.2.0:8785"), Peer("cmp-1", "192.0.2.1:8785"))
    assert third.spares == (Peer("cmp-0", "192.0.2.0:8785"),)
    assert third.signers == (f"{0:064x}",)


def test_hosts_that_ask_one_conductor_at_the_same_time_form_one_chain_too(site):
    count = len(site.names)
    together = threading.Barrier(count)

    def join(number):
        together.wait(20)
        return site.conductors[0].join(site.request(number))

    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(join, range(count)))

    parents = [answer.parent.host for answer in answers if answer.parent]
    assert [answer.source for answer in answers].count(Source.IMAGE_SERVICE) == 1
    assert len(set(parents)) == len(parents) == count - 1
    assert all(answer.ticket for answer in answers if answer.parent)
    assert site.relays.find(answers[0].relay).members[0].parent == ""


def test_hosts_in_the_process_of_the_conductor_need_not_know_their_cell(site):
    hosts = InProcessPlanner(planner=site.conductors[0], cell=CELL)

    first = hosts.join(replace(site.request(0), cell=""))
    report = RelayReport(relay=first.relay, host="cmp-0", kind=ReportKind.PROGRESS, version=first.version)
    trust = site.trust.host("cmp-0", site="north")
    certificate = hosts.certify("cmp-0", "", trust.signing_request())

    assert hosts.report(report).source is Source.IMAGE_SERVICE
    assert certificate.authority.startswith("-----BEGIN CERTIFICATE-----")


def test_a_host_that_joins_again_gets_its_place_again(site):
    chain(site, 2)

    assert replace(site.join(1), ticket="") == replace(site.join(1), ticket="")


def test_only_a_host_that_has_another_to_ask_gets_a_ticket_and_it_is_its_own(site):
    first, second = chain(site, 2)

    ticket = site.trust.host("cmp-0", site="north").read_ticket(second.ticket)

    assert first.ticket == ""
    assert (ticket.relay, ticket.host, ticket.cell, ticket.sites) == (first.relay, "cmp-1", CELL, ("north",))


def test_the_root_that_a_seeder_reports_is_signed_for_everybody(site):
    first, second = chain(site, 2)

    site.report(first, ReportKind.COMPLETE, root=ROOT, size_bytes=7, have_bytes=7)
    told = site.report(second, size_bytes=7)

    root = site.trust.host("cmp-1", site="north").read_root(told.root)
    assert second.root == ""
    assert root == RootStatement(first.relay, ROOT, 7)


def test_hosts_whose_place_has_changed_are_sent_it_and_the_one_that_reports_gets_its_answer(site):
    _, second, third = chain(site, 3)
    site.sent.clear()

    site.report(second, ReportKind.LEFT)

    wait_until(lambda: site.sent)
    assert set(site.sent) == {"cmp-2"}
    assert site.sent["cmp-2"].parent == Peer("cmp-0", "192.0.2.0:8785")
    assert site.sent["cmp-2"].version > third.version
    assert site.trust.host("cmp-0", site="north").read_ticket(site.sent["cmp-2"].ticket).host == "cmp-2"


def test_a_chain_outlives_the_conductors_that_made_it(site):
    first, second, third = chain(site, 3)
    site.conductors = [site.conductor()]
    site.monotonic_s += 1000

    told = site.report(third, ReportKind.LOST_PARENT, parent="cmp-1", lost=("cmp-1",))

    assert told.parent.host == "cmp-0"
    assert site.report(second).relay == first.relay


def test_a_conductor_that_remembers_a_place_finds_that_another_one_has_changed_it(site):
    _, second, third = chain(site, 3)
    remembering, other = site.conductors
    site.conductors = [remembering]
    site.report(third)
    site.conductors = [other]
    site.report(second, ReportKind.LEFT)
    site.conductors = [remembering]

    told = site.report(third, have_bytes=5)

    assert (told.parent.host, told.version) == ("cmp-0", third.version + 1)


def test_a_root_that_another_conductor_was_told_reaches_every_host_soon(site):
    first, second = chain(site, 2)
    remembering, other = site.conductors
    site.conductors = [remembering]
    site.report(second, size_bytes=7)
    site.report(second, size_bytes=7)
    site.conductors = [other]
    site.report(first, ReportKind.COMPLETE, root=ROOT, size_bytes=7, have_bytes=7)
    site.conductors = [remembering]

    site.pass_s(20)

    assert site.report(second, size_bytes=7).root != ""


def test_every_report_of_a_seeder_is_judged_by_the_rules(site):
    first, _ = chain(site, 2)
    site.conductors = site.conductors[:1]
    for have_bytes in (0, 0, 5_000):
        site.pass_s(5)
        first = site.report(first, have_bytes=have_bytes, size_bytes=10**9)

    assert site.stores.relays.find(first.relay).member("cmp-0").best_bytes_per_s > 0


def test_a_site_below_another_one_takes_part_in_the_relay_of_that_one(site):
    site.beat("cmp-2", "cmp-3", site="edge1")
    trust = site.trust.host("cmp-0", site="north")

    first, _, third, fourth = chain(site, 4)

    assert {third.relay, fourth.relay} == {first.relay}
    assert (third.parent.host, fourth.parent.host, fourth.spares) == ("cmp-1", "cmp-2", ())
    assert trust.read_ticket(third.ticket).sites == ("edge1", "north")


def test_a_second_job_joins_the_relay_of_the_first_and_another_form_has_its_own(site):
    first = site.join(0)

    assert site.join(1).relay == first.relay
    assert site.join(1, form=Form.AS_IS).relay != first.relay


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "stranger"}, "not in the inventory"),
        ({"cell": "cell2"}, "the inventory has it in cell cell1"),
        ({"job_id": "00000000-0000-0000-0000-000000000009"}, "no unfinished task of job"),
        ({"image": parse_image_id("155d900f-4e14-4e4c-a73d-069cbf4541e6")}, "no unfinished task of job"),
    ],
)
def test_a_host_that_no_task_asks_for_the_image_is_refused(site, changes, words):
    with pytest.raises(RelayRefused, match=words):
        site.join(1, **changes)


def test_a_silent_host_joins_after_its_next_heartbeat(site):
    site.pass_s(61)
    with pytest.raises(ConductorUnreachable, match="host cmp-1 may not join yet, because its last heartbeat is 61 s"):
        site.join(1)

    site.beat("cmp-1")

    assert site.join(1).source is Source.IMAGE_SERVICE


def test_a_host_whose_task_has_ended_is_refused(site, stores):
    claim(stores)
    asked(stores, "cmp-1", IMAGE)
    ended(stores, "cmp-1", TaskResult(IMAGE, Outcome.CACHED))

    with pytest.raises(RelayRefused, match=f"no unfinished task of job {JOB} asks it for image {IMAGE}"):
        site.join(1)
    cancel(stores)
    finish(stores, JobState.CANCELLED)
    with pytest.raises(RelayRefused):
        site.join(2)


def test_only_a_member_may_report(site):
    first = site.join(0)

    for wrong in ({"host": "cmp-1"}, {"relay": "none"}, {"host": "stranger"}):
        with pytest.raises(RelayRefused):
            site.report(replace(first, **wrong))
    with pytest.raises(RelayRefused, match="the inventory has it in cell cell1"):
        site.report(first, cell="cell2")


def test_a_host_that_leaves_the_inventory_may_not_go_on(site, stores):
    first = site.join(0)
    site.report(first)
    site.pass_s(120)
    stores.host_removal.delete_host("cmp-0", SECOND)

    with pytest.raises(RelayRefused, match="not in the inventory"):
        site.report(first)


def test_a_host_that_asks_too_often_is_held_off_and_the_others_are_not(site):
    first, second = chain(site, 2)
    site.conductors = site.conductors[:1]

    def flood():
        for _ in range(100):
            site.report(first)

    with pytest.raises(ConductorUnreachable, match="cmp-0 asks more than 20 times a second"):
        flood()

    assert site.report(second).relay == first.relay
    site.pass_s(1)
    assert site.report(first).relay == first.relay


def silent_seeder(site):
    """Have a seeder be silent for seven seconds, and a host that waits for five; return their assignments."""
    first, second = site.join(0, address=""), site.join(1)
    assert (first.source, second.source) == (Source.IMAGE_SERVICE, Source.WAIT)
    site.pass_s(5)
    site.report(second)
    site.pass_s(2)
    site.sent.clear()
    return first, second


def test_the_place_of_a_silent_host_goes_to_another_one_that_waits(site):
    first, _ = silent_seeder(site)

    site.watch()()

    wait_until(lambda: site.sent)
    assert site.sent["cmp-1"].source is Source.IMAGE_SERVICE
    assert site.stores.relays.find(first.relay).member("cmp-0").state is MemberState.LEFT


def test_a_report_shows_that_another_host_is_silent_also_if_no_conductor_looks(site):
    _, second = silent_seeder(site)

    assert site.report(second).source is Source.IMAGE_SERVICE


@pytest.mark.parametrize("outage", ["bus", "store"])
def test_after_an_outage_no_host_counts_as_silent_before_its_reports_can_have_come(site, outage):
    first, second = silent_seeder(site)
    if outage == "bus":
        site.listening_s = 7
    else:
        site.relays.is_down = True
        for _ in site.conductors:
            with pytest.raises(ConductorUnreachable, match="database is not available"):
                site.report(second)
        site.relays.is_down = False
        site.pass_s(1)

    site.report(second)
    site.watch()()

    assert site.stores.relays.find(first.relay).member("cmp-0").state is MemberState.ACTIVE


def test_an_old_relay_is_forgotten_and_the_next_job_makes_another(site):
    first = site.join(0)
    watch = site.watch()
    site.pass_s(5 * 3600)
    watch()
    assert site.stores.relays.find(first.relay) is not None

    site.pass_s(2 * 3600)
    watch()

    assert site.stores.relays.find(first.relay) is None
    with pytest.raises(RelayRefused, match="know no relay"):
        site.report(first)
    site.beat("cmp-0")
    assert site.join(0).relay != first.relay


def test_attempts_do_not_prolong_the_life_of_a_relay_that_has_failed(site):
    first = site.join(0)
    site.relays.change(first.relay, lambda relay, _now: replace(relay, reason="two found different roots"))
    watch = site.watch()

    site.pass_s(6 * 60)
    site.beat("cmp-1")
    with pytest.raises(RelayRefused, match="its image failed in site north, and may be tried again later: two found"):
        site.join(1)
    site.pass_s(5 * 60)
    watch()

    site.beat("cmp-1")
    assert site.join(1).relay != first.relay


def test_a_relay_knows_how_fast_its_hosts_were_in_earlier_ones(site):
    first, second = chain(site, 2)
    for place, rate in ((first, 500), (second, 900), (second, 7)):
        site.report(place, ReportKind.COMPLETE, root=ROOT, size_bytes=7, have_bytes=7, rate_bytes_per_s=rate)

    site.join(0, form=Form.AS_IS)
    relay = site.stores.relays.find(site.join(1, form=Form.AS_IS).relay)

    assert [(each.uplink_bytes_per_s, each.link_bytes_per_s) for each in relay.members] == [(500, 0), (0, 900)]


def test_what_a_host_reports_is_what_operators_see(site):
    first, second = chain(site, 2)

    site.report(second, have_bytes=5, offered_bytes=6, rate_bytes_per_s=7, size_bytes=8)

    (relay,) = site.stores.relay_queries.relays_of_job(JOB)
    member = relay.member("cmp-1")
    assert (relay.id, relay.size_bytes) == (first.relay, 8)
    assert (member.have_bytes, member.offered_bytes, member.rate_bytes_per_s, member.parent) == (5, 6, 7, "cmp-0")
