"""Who receives an image from whom: the plan of a relay after joins, reports and silence of its hosts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.images import ImageId
from precache.core.relays import Form, MemberState, Relay, RelayKey, RelayMember, RelayReport, ReportKind, Source
from precache.rules.relay_assignment import assignment
from precache.rules.relay_forgiveness import lost_complete
from precache.rules.relay_plan import joined, overdue, reported
from precache.rules.relay_tree import RelayTree

START = datetime(2026, 11, 30, tzinfo=UTC)
KEY = RelayKey("c1", "s1", ImageId("70a599e0-31e7-49b7-b260-868f441e862b"), Form.RAW)
MIB = 1 << 20
FETCH = "image service"
WAIT = "wait"


def host(name, **known):
    return RelayMember(host=name, address=f"{name}:8785", key=f"key-{name}", **known)


class Site:
    """The hosts of one relay, as DESK sees them: one message after another."""

    def __init__(self, names="", **known):
        self.now = START
        self.relay = Relay(id="r1", key=KEY, **known)
        for name in names.split():
            self.join(name)

    def join(self, name, **known):
        self.relay = joined(self.relay, host(name, **known), self.now)
        return self

    def report(self, name, kind=ReportKind.PROGRESS, **said):
        member = self.relay.member(name)
        said = {"version": member.version, "parent": member.parent, "have_bytes": member.have_bytes} | said
        self.relay = reported(self.relay, RelayReport(relay="r1", host=name, kind=kind, **said), self.now)
        return self

    def lose(self, name, *lost):
        return self.report(name, ReportKind.LOST_PARENT, lost=lost)

    def complete(self, name, root=""):
        return self.report(name, ReportKind.COMPLETE, root=root, size_bytes=1000 * MIB)

    def after(self, seconds):
        self.now += timedelta(seconds=seconds)
        return self

    def look(self, interval_s=2.0):
        self.relay = overdue(self.relay, self.now, interval_s)
        return self

    @property
    def parents(self):
        return " ".join(f"{member.host}<{way(member)}" for member in self.relay.members)

    def version(self, name):
        return self.relay.member(name).version


def way(member):
    if member.state is not MemberState.ACTIVE:
        return member.state.value
    return {Source.IMAGE_SERVICE: FETCH, Source.WAIT: WAIT}.get(member.source, member.parent)


def test_hosts_form_one_chain_in_the_order_in_which_they_join():
    assert Site("a b c d").parents == f"a<{FETCH} b<a c<b d<c"


def test_a_host_that_joins_again_keeps_its_place_and_only_its_new_address_is_told_to_those_behind_it():
    site = Site("a b c d e f")
    before = {name: site.version(name) for name in "abcdef"}

    site.join("b")
    assert {name: site.version(name) for name in "abcdef"} == before

    site.relay = joined(site.relay, replace(host("b"), address="b:9999"), site.now)
    assert [name for name in "abcdef" if site.version(name) > before[name]] == ["c", "d", "e", "f"]
    assert assignment(site.relay, "c").parent.address == "b:9999"


def test_an_assignment_names_the_parent_then_its_ancestors_then_a_complete_host():
    site = Site("a b c d e f").complete("b")

    found = assignment(site.relay, "f")

    assert (found.source, found.parent.host, found.parent.address) == (Source.HOST, "e", "e:8785")
    assert [spare.host for spare in found.spares] == ["d", "c", "b"]
    assert found.signers == ("key-a",)
    assert assignment(site.relay, "a").parent is None


def test_a_known_slow_host_stands_behind_the_fast_ones_whenever_it_joins():
    site = Site("a b").join("slow", link_bytes_per_s=MIB).join("fast", link_bytes_per_s=10 * MIB)
    site.join("fast2", link_bytes_per_s=10 * MIB).join("slow2", link_bytes_per_s=MIB)
    assert site.parents == f"a<{FETCH} b<a slow<fast2 fast<b fast2<fast slow2<fast2"


def test_late_hosts_spread_over_complete_hosts_before_any_gets_a_second_child():
    site = Site("a b c").complete("a", "root").complete("b").complete("c")
    for name in "defg":
        site.join(name)
    assert site.parents == "a<complete b<complete c<complete d<a e<b f<c g<d"


def test_a_chain_that_lags_more_than_the_transfer_takes_is_split_at_the_seeder():
    site = Site("h0", size_bytes=8 * MIB)
    for number in range(1, 100):
        site.join(f"h{number}", link_bytes_per_s=125 * MIB)
    seconds = [member.host for member in site.relay.members if member.parent == "h0"]
    assert len(seconds) > 1


def test_hosts_without_a_port_for_others_receive_at_the_end():
    site = Site("a")
    site.relay = joined(site.relay, RelayMember(host="mute"), site.now)
    site.join("b")
    assert site.parents == f"a<{FETCH} mute<a b<a"


# --- loss of a parent


def test_a_host_that_lost_its_parent_goes_to_its_grandparent():
    assert Site("a b c d").lose("c", "b").parents == f"a<{FETCH} b<a c<a d<c"


def test_a_parent_that_several_hosts_have_lost_has_left_and_comes_back_without_children():
    site = Site("a b c d").lose("c", "b").report("d", ReportKind.LOST_PARENT, lost=("b", "c"))
    assert site.relay.member("b").state is MemberState.LEFT

    site.report("b").join("e")
    assert site.relay.member("b").state is MemberState.ACTIVE
    assert "b" not in {member.parent for member in site.relay.members}


def test_a_spare_to_which_a_host_went_by_itself_becomes_its_parent():
    site = Site("a b c d").report("c", parent="a")
    assert site.parents == f"a<{FETCH} b<a c<a d<c"
    assert site.relay.member("c").lost == ("b",)
    # An older report speaks of an older place.
    assert site.report("d", parent="a", version=0).relay.member("d").parent == "c"


def test_the_lost_seeder_is_tried_by_one_more_host_before_the_standby_takes_its_place():
    site = Site("a b c d").report("b", have_bytes=9 * MIB).lose("b", "a")
    assert site.parents == f"a<{FETCH} b<d c<a d<c"

    site.lose("c", "a")
    assert site.relay.member("a").state is MemberState.LEFT
    assert [member.host for member in site.relay.members if member.source is Source.IMAGE_SERVICE][1:] == ["c"]
    assert site.relay.signers == ("key-a", "key-c")
    assert site.parents == f"a<left b<d c<{FETCH} d<c"


def test_a_new_signer_is_told_to_all():
    site = Site("a b c d")
    before = {name: site.version(name) for name in "bcd"}
    site.report("a", ReportKind.LEFT)
    assert site.parents == f"a<left b<{FETCH} c<b d<c"
    assert all(site.version(name) > before[name] for name in "bcd")


def test_a_silent_seeder_has_left_only_if_others_miss_it_and_messages_arrive():
    site = Site("a b").lose("b", "a")
    assert site.parents == f"a<{FETCH} b<{WAIT}"
    assert site.after(9).look().parents == f"a<{FETCH} b<{WAIT}"  # no message from anybody

    assert site.report("b").look().parents == f"a<left b<{FETCH}"
    site = Site("a b").after(60).report("b").look()
    assert site.parents == f"a<{FETCH} b<a"


def test_all_hosts_have_left_if_none_reports_for_ten_minutes():
    site = Site("a b c").report("b", ReportKind.COMPLETE).after(600).look()
    assert site.parents == f"a<{FETCH} b<complete c<b"

    assert site.after(1).look().parents == "a<left b<complete c<left"
    assert site.report("c").parents == f"a<left b<complete c<{FETCH}"


def test_a_silent_host_has_left_if_another_has_lost_it():
    site = Site("a b c d").after(7).lose("c", "b").look()
    assert site.parents == f"a<{FETCH} b<left c<a d<c"


def test_a_host_that_has_just_become_the_seeder_is_not_silent_before_it_can_know_its_interval():
    site = Site("a b c").after(100).report("a", ReportKind.LEFT)
    assert site.lose("c", "b").after(50).report("c").look(47.0).relay.member("b").state is MemberState.ACTIVE
    assert site.after(14).report("c").look(47.0).relay.member("b").state is MemberState.LEFT


def test_those_who_reach_nobody_get_the_image_service_one_after_another_the_oldest_first():
    site = Site("a b c d")
    everybody = {"a", "b", "c", "d"}
    for name in "dcb":
        site.after(1).report(name, ReportKind.LOST_PARENT, lost=tuple(everybody - {name}))
        assert sum(way(member) == FETCH for member in site.relay.members) <= 1
    order = []
    for _second in range(120):
        site.after(1)
        for member in site.relay.members:
            if member.state is not MemberState.COMPLETE:
                is_lost = way(member) in everybody
                kind = ReportKind.LOST_PARENT if is_lost else ReportKind.PROGRESS
                site.report(member.host, kind, lost=tuple(everybody - {member.host}) if is_lost else ())
        fetching = [member.host for member in site.relay.members if way(member) == FETCH]
        assert len(fetching) <= 1
        for host_name in fetching:
            order.append(host_name)
            site.complete(host_name, "root")
    assert sorted(order) == ["a", "b", "c", "d"]


def test_a_host_that_sent_a_wrong_piece_is_not_given_to_the_same_host_again_and_after_two_to_none():
    site = Site("a b c d").report("c", ReportKind.WRONG_PIECE, parent="b")
    assert site.parents == f"a<{FETCH} b<a c<a d<c"

    site.join("e").report("d", ReportKind.WRONG_PIECE, parent="b").join("f")
    assert "b" not in {member.parent for member in site.relay.members}
    assert site.relay.member("b").state is MemberState.ACTIVE


# --- roots


def test_the_root_is_that_of_the_seeder_and_of_no_other_host():
    site = Site("a b").complete("b", "of b")
    assert site.relay.root == ""
    assert site.complete("a", "of a").relay.root == "of a"


def test_two_hosts_attest_a_root():
    site = Site("a b c", attestations=2)
    assert site.parents == f"a<{FETCH} b<{FETCH} c<a"
    assert site.relay.signers == ("key-a", "key-b")
    assert site.complete("a", "same").relay.root == ""
    assert site.complete("b", "same").relay.root == "same"


def test_roots_that_differ_fail_the_relay_and_name_both_hosts():
    site = Site("a b c", attestations=2).complete("a", "one").complete("b", "two")
    assert site.relay.root == ""
    assert site.relay.reason == "a found one, but b found two"
    assert assignment(site.relay, "c").failed == site.relay.reason
    assert site.version("c") > 1


def test_a_fault_of_the_image_that_two_hosts_found_ends_the_relay_for_all():
    site = Site("a b c d").report("a", ReportKind.LEFT, reason="it is damaged", is_image_faulty=True)
    assert (site.relay.reason, site.parents) == ("", f"a<left b<{FETCH} c<b d<c")

    site.report("b", ReportKind.LEFT, reason="it is damaged", is_image_faulty=True)

    assert site.relay.reason == "a and b fetched it, and found: it is damaged"
    assert assignment(site.relay, "d").failed == site.relay.reason
    assert FETCH not in site.parents


def test_only_a_host_that_has_fetched_the_image_can_find_it_faulty():
    site = Site("a b c")
    for name in ("b", "c"):
        site.report(name, ReportKind.LEFT, reason="it is damaged", is_image_faulty=True)
    assert site.relay.reason == ""


# --- stragglers


def slow(site, name, *, have, offered):
    """The host reports SLOW three times in 1.2 s; have and offered: what it and its parent gain each second."""
    for step in range(4):
        site.after(0.4).report(
            name,
            ReportKind.SLOW,
            have_bytes=int(have * step * 0.4),
            offered_bytes=int(2 * MIB + offered * step * 0.4),
            rate_bytes_per_s=have,
        )
    return site


def test_a_straggler_becomes_a_leaf_at_the_end_and_its_child_goes_to_its_parent():
    site = slow(Site("a b c d e").after(5), "c", have=MIB // 10, offered=2 * MIB)
    assert site.parents == f"a<{FETCH} b<a c<e d<b e<d"
    assert site.join("f").relay.member("f").parent == "e"


@pytest.mark.parametrize(
    ("rate", "parents"), [(MIB // 10, f"a<{FETCH} b<a c<e d<b e<d"), (2 * MIB, f"a<{FETCH} b<a c<b d<c e<d")]
)
def test_a_straggler_whose_first_reports_no_conductor_got_is_named_by_its_rare_ones(rate, parents):
    site = Site("a b c d e").after(5)
    for seconds in (5, 15, 35):
        site.after(10).report("c", ReportKind.SLOW, have_bytes=rate * seconds, offered_bytes=2 * MIB * (seconds + 5))
    assert site.parents == parents


@pytest.mark.parametrize("rate", [2 * MIB, 100 * MIB])
def test_a_straggler_holds_up_nobody_when_its_parent_has_everything(rate):
    site = Site("a b c d e").after(5)
    site.report("b", ReportKind.COMPLETE, have_bytes=20 * MIB, size_bytes=20 * MIB, rate_bytes_per_s=rate)
    slow(site.after(5), "c", have=MIB // 10, offered=0)
    assert site.parents == f"a<{FETCH} b<complete c<a d<b e<d"


def test_a_host_that_gains_nearly_as_much_as_its_parent_is_no_straggler():
    site = slow(Site("a b c d e").after(5), "c", have=1.8 * MIB, offered=2 * MIB)
    assert site.parents == f"a<{FETCH} b<a c<b d<c e<d"


def test_a_host_that_is_as_fast_as_ever_is_no_straggler_when_its_parent_is_faster_for_a_moment():
    site = Site().join("a").join("b", link_bytes_per_s=MIB).join("c").after(5)
    assert slow(site, "b", have=0.9 * MIB, offered=1.5 * MIB).parents == f"a<{FETCH} b<a c<b"
    assert slow(site.after(5), "b", have=0.7 * MIB, offered=1.5 * MIB).parents == f"a<{FETCH} b<c c<a"


def test_a_straggler_that_was_named_while_it_became_slow_is_known_as_slower_later():
    site = slow(Site("a b c").after(5), "b", have=0.9 * MIB, offered=2 * MIB)
    slow(site.after(5), "b", have=MIB // 10, offered=2 * MIB)
    assert site.relay.member("b").link_bytes_per_s == pytest.approx(MIB / 10, rel=0.01)


def test_the_parent_is_the_slow_one_if_two_hosts_were_slow_with_it():
    site = slow(Site("a b c d e").after(5), "c", have=MIB // 10, offered=2 * MIB)
    slow(site.after(5), "d", have=MIB // 10, offered=2 * MIB)
    assert site.relay.member("d").parent == "a"
    assert site.relay.member("b").is_leaf
    assert not [member for member in site.relay.members if member.parent == "b"]


def test_a_slow_host_that_keeps_up_at_the_end_may_get_children_again():
    site = slow(Site("a b c d e").after(5), "c", have=MIB // 10, offered=2 * MIB)
    site.report("c", have_bytes=8 * MIB, offered_bytes=8 * MIB + 1, rate_bytes_per_s=2 * MIB)
    assert not site.relay.member("c").is_leaf


def test_a_complete_host_takes_a_leaf_from_a_crowded_parent():
    site = slow(Site("a b c d e").after(5), "c", have=MIB // 10, offered=2 * MIB)
    slow(site.after(5), "d", have=MIB // 30, offered=2 * MIB).complete("a", "root")
    assert {site.relay.member(name).parent for name in "cd"} == {"e"}
    site.complete("b")
    assert {site.relay.member(name).parent for name in "cd"} == {"a", "e"}


def test_a_late_host_goes_to_the_end_beside_a_leaf_and_no_chain_is_put_behind_it():
    site = Site(size_bytes=1000 * MIB)
    for name, tenths in {"a": 20, "b": 19, "c": 19, "leaf": 20}.items():
        site.join(name, link_bytes_per_s=tenths * MIB // 10)
    change(site, lambda tree: tree.update("leaf", is_leaf=True))
    for name in "abc":
        site.after(9).report(name, have_bytes=500 * MIB, rate_bytes_per_s=2 * MIB)

    assert site.join("e", link_bytes_per_s=2 * MIB).relay.member("e").parent == "c"

    change(site, lambda tree: tree.update("e", parent="a", lost=("b", "c", "leaf")))
    for have, offered in ((0, 500), (1, 503)):
        site.after(2).report("e", ReportKind.SLOW, have_bytes=have * MIB, offered_bytes=offered * MIB)
    assert site.relay.member("b").parent == "a"


def change(site, action):
    tree = RelayTree(site.relay, site.now)
    action(tree)
    site.relay = tree.finish()


def test_a_complete_host_takes_a_leaf_that_waits_for_a_late_host():
    site = slow(Site("a b c", size_bytes=1000 * MIB).after(5), "b", have=MIB // 10, offered=2 * MIB)
    site.after(60).report("b", have_bytes=600 * MIB, rate_bytes_per_s=9 * MIB)
    site.report("c", have_bytes=700 * MIB, rate_bytes_per_s=10 * MIB).join("d")
    slow(site.after(5), "b", have=0, offered=2 * MIB)
    assert site.parents == f"a<{FETCH} b<d c<a d<c"
    site.report("b", have_bytes=600 * MIB, parent="d")
    site.complete("a", "root")
    assert site.parents == "a<complete b<d c<a d<c"
    site.complete("c")
    assert site.relay.member("b").parent == "a"
    assert site.relay.member("d").parent == "c"


def test_a_complete_host_takes_one_that_receives_from_a_slow_host():
    site = slow(Site("a b c", size_bytes=1000 * MIB).after(5), "b", have=MIB // 10, offered=2 * MIB).join("d")
    change(site, lambda tree: tree.follow("b", "c"))
    change(site, lambda tree: tree.follow("d", "b"))
    assert site.complete("a", "root").complete("c").parents == "a<complete b<c c<complete d<a"


def seed(site, *gains):
    """The seeder reports every six seconds, with these gains in MiB."""
    have = 0
    for gain in gains:
        have += gain
        site.after(6).report("a", have_bytes=have * MIB)
    return site


def test_a_seeder_that_has_become_far_slower_is_replaced_once():
    site = Site("a b c", size_bytes=1000 * MIB)
    assert seed(site, 100, 100, 30, 30).parents == f"a<{FETCH} b<a c<b"
    assert seed(Site("a b c", size_bytes=1000 * MIB), 100, 100, 2).parents == f"a<c b<{FETCH} c<b"
    # With little left it ends sooner than another one that starts again.
    assert seed(Site("a b c", size_bytes=1000 * MIB), 400, 597, 1).parents == f"a<{FETCH} b<a c<b"


def test_a_seeder_of_which_the_previous_release_noted_nothing_is_watched_too():
    site = Site("a b c", size_bytes=1000 * MIB)
    change(site, lambda tree: tree.update("a", slow_since=None))
    assert seed(site, 100, 100, 100, 2).parents == f"a<c b<{FETCH} c<b"


def test_a_seeder_that_becomes_slow_before_its_first_report_is_replaced():
    site = Site("a b c", size_bytes=1000 * MIB)
    for seconds, have in ((3, 50), (5, 55)):
        site.after(seconds).report("a", have_bytes=have * MIB, rate_bytes_per_s=MIB)
    assert site.parents == f"a<{FETCH} b<a c<b"  # its rate is that of the download: these may be zeros
    site = Site(size_bytes=1000 * MIB)
    for name in "abc":
        site.join(name, link_bytes_per_s=30 * MIB)
    for seconds, have in ((3, 50), (5, 55)):
        site.after(seconds).report("a", have_bytes=have * MIB, rate_bytes_per_s=MIB)
    assert site.parents == f"a<c b<{FETCH} c<b"


def test_a_seeder_that_was_faster_in_earlier_relays_is_not_replaced():
    site = Site(size_bytes=1000 * MIB).join("a", uplink_bytes_per_s=1000 * MIB).join("b")
    assert seed(site, 10, 10, 10, 10).parents == f"a<{FETCH} b<a"


def test_a_regular_report_changes_nothing_but_the_numbers_of_its_host():
    site = Site("a b c", size_bytes=1000 * MIB)
    before = site.relay
    site.after(5).report("c", have_bytes=7, offered_bytes=9, rate_bytes_per_s=5)
    assert [site.relay.members[number] is before.members[number] for number in range(3)] == [True, True, False]
    found = site.relay.member("c")
    assert (found.have_bytes, found.offered_bytes, found.rate_bytes_per_s, found.reported_at) == (7, 9, 5, site.now)


def test_stragglers_share_the_end_and_do_not_hold_up_the_chain():
    site = Site("a b c d e f").after(5)
    for name in "bdc":
        slow(site.after(5), name, have=MIB // 10, offered=2 * MIB)
    assert site.parents == f"a<{FETCH} b<f c<f d<f e<a f<e"


# --- whatever happens

NAMES = [f"h{number}" for number in range(9)]
RATES = st.sampled_from([0, MIB, 10 * MIB])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "look", *ReportKind]),
        st.sampled_from(NAMES),
        st.lists(st.sampled_from(NAMES), max_size=9),
        st.integers(0, 40),
        st.sampled_from([0.3, 1.1, 9.0]),
        RATES,
    ),
    max_size=60,
)


@pytest.mark.parametrize("attestations", [1, 2])
@given(steps=STEPS)
def test_every_active_host_has_a_way_to_the_image_whatever_happens(attestations, steps):
    site = Site(attestations=attestations, size_bytes=40 * MIB)
    for kind, name, others, have, pause, rate in steps:
        site.after(pause)
        before = site.relay
        if kind == "join":
            mute = {"address": ""} if have % 7 == 0 else {}
            joining = replace(host(name, link_bytes_per_s=rate), **mute)
            site.relay = joined(before, joining, site.now)
            check_leaf(site, name, before)
        elif kind == "look":
            site.look()
        elif before.member(name):
            parent = others[0] if have % 3 == 0 and others else before.member(name).parent
            site.report(
                name, kind, have_bytes=have * MIB, offered_bytes=len(others) * 9 * MIB, lost=tuple(others[1:]),
                parent=parent, rate_bytes_per_s=rate, root="root" if have else "",
            )  # fmt: skip
        check(site.relay)
        check_versions(before, site.relay)


def check(relay):
    tree = RelayTree(relay, START)
    depths = tree.depths()
    fetching = [member for member in relay.members if way(member) == FETCH]
    assert len(fetching) <= relay.attestations
    assert len({member.host for member in relay.members}) == len(relay.members)
    for member in relay.members:
        if member.state is not MemberState.ACTIVE:
            continue
        top, passed = member.host, set()
        while (parent := relay.member(way(relay.member(top)))) is not None:
            assert top not in passed
            passed.add(top)
            top = parent.host
        assert way(relay.member(top)) in (FETCH, WAIT, "complete")  # no circle, no host that has left
        if member.host not in depths:
            assert way(relay.member(top)) == WAIT
            assert relay.member(top).waiting_since is not None
            is_soon_tried_again = any(tree.could_serve(relay.member(top), name) for name in lost_complete(tree))
            assert len(fetching) == relay.attestations or is_soon_tried_again  # the queue moves


def check_leaf(site, name, before):
    parent = site.relay.member(site.relay.member(name).parent or "")
    if parent is None or not parent.is_leaf or before.member(name):
        return
    tree = RelayTree(site.relay, START)
    assert all(tree[other].is_leaf or not tree.accepts(tree[name], other) for other in tree.depths(without=name))


def check_versions(before, after):
    for member in after.members:
        old = before.member(member.host)
        if old is None:
            assert member.version > 0
            continue
        assert member.version >= old.version
        if member.state is MemberState.ACTIVE and member.version == old.version:
            told = [
                (found.source, found.parent, found.signers, found.failed)
                for found in (assignment(before, member.host), assignment(after, member.host))
            ]
            assert told[0] == told[1]


def test_the_size_that_is_signed_with_the_root_is_the_seeders():
    site = Site("a b")
    site.report("b", size_bytes=1)

    site.report("a", ReportKind.COMPLETE, root="tree-sha256:1b", size_bytes=8 * MIB, have_bytes=8 * MIB)

    assert (site.relay.root, site.relay.size_bytes) == ("tree-sha256:1b", 8 * MIB)


def test_a_host_with_another_parent_does_not_lag_behind_the_former_one():
    site = Site("a b c d").report("c", have_bytes=26 * MIB, offered_bytes=130 * MIB)
    assert site.relay.member("c").offered_bytes == 130 * MIB

    site.report("b", ReportKind.LEFT)
    member = site.relay.member("c")
    assert (member.parent, member.offered_bytes) == ("a", 0)

    site.report("c", parent="b", version=member.version - 1, have_bytes=27 * MIB, offered_bytes=131 * MIB)
    assert site.relay.member("c").offered_bytes == 0
    site.report("c", have_bytes=28 * MIB, offered_bytes=30 * MIB)
    assert site.relay.member("c").offered_bytes == 30 * MIB
