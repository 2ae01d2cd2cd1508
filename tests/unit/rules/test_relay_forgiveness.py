"""Some seconds of trouble in the network of a site cost some seconds, and no further copies from the image service."""

from precache.core.relays import MemberState, ReportKind
from precache.rules.relay_assignment import assignment
from tests.unit.rules.test_relay_plan import FETCH, MIB, WAIT, Site, way


def hosts(site, place):
    return [member.host for member in site.relay.members if way(member) == place]


class Course:
    """A site whose hosts cannot reach each other until a time; `dead` ones never. A transfer takes ten seconds."""

    def __init__(self, names, *, until_s, dead=""):
        self.site, self._until_s, self._dead = Site(names), until_s, dead
        self.second, self._began, self.fetched, self.copies = 0, {}, [], 0

    def run(self, seconds):
        for _ in range(seconds):
            self.second += 1
            self.site.after(1)
            for member in self.site.relay.members:
                if member.state is not MemberState.COMPLETE and member.host not in self._dead:
                    self._act(member.host)
            assert len(hosts(self.site, FETCH)) <= 1
        return self

    def _act(self, name):
        site, source = self.site, way(self.site.relay.member(name))
        if source in (WAIT, "left") or (source != FETCH and not self._reaches(source)):
            self._began.pop(name, None)
            kind = ReportKind.PROGRESS if source in (WAIT, "left") else ReportKind.LOST_PARENT
            others = tuple(
                each.host for each in site.relay.members if each.host != name and not self._reaches(each.host)
            )
            site.report(name, kind, lost=others if kind is ReportKind.LOST_PARENT else ())
            return
        if source == FETCH and self._began.get(name, ("",))[0] != FETCH:
            self.fetched.append(name)
        was, began = self._began.setdefault(name, (source, self.second))
        if was != source:
            began = self.second
            self._began[name] = source, began
        if self.second - began >= 10 and (source == FETCH or site.relay.member(source).state is MemberState.COMPLETE):
            self.copies += source == FETCH
            site.complete(name, "root" if source == FETCH else "")
        else:
            site.report(name, have_bytes=(self.second - began + 1) * MIB)

    def _reaches(self, name):
        return self.second > self._until_s and name not in self._dead


def test_hosts_that_lost_all_others_for_seconds_fetch_one_copy():
    course = Course("a b c d e", until_s=4).run(60)

    assert hosts(course.site, "complete") == list("abcde")
    assert course.copies == 1
    assert len(course.fetched) <= 3


def test_a_host_that_is_complete_is_tried_again_before_another_copy_is_fetched():
    site = Site("a b c").complete("a", "root")
    site.lose("b", "a", "c").lose("c", "a", "b")
    assert hosts(site, WAIT) == ["b", "c"]

    site.after(4).report("b")
    assert hosts(site, WAIT) == ["b", "c"]
    site.after(1).report("b").report("c")

    assert hosts(site, FETCH) == []
    assert hosts(site, WAIT) == []


def test_a_host_that_is_complete_and_dead_delays_the_others_for_seconds_only():
    site = Site("a").complete("a", "root").join("b").join("c")
    began = site.now
    while not hosts(site, FETCH):
        for name in "bc":
            source = way(site.relay.member(name))
            if source == "a":
                site.lose(name, "a")
            else:
                site.report(name)
        site.after(1)
    assert (site.now - began).total_seconds() <= 25


def test_a_seeder_that_reports_is_tried_again_and_a_silent_one_is_not():
    site = Site("a b").lose("b", "a").after(6).report("a").report("b")
    assert hosts(site, "a") == ["b"]

    site = Site("a b").lose("b", "a").after(9).report("b").look()
    assert hosts(site, FETCH) == ["b"]


def test_hosts_that_were_complete_long_ago_are_given_up_together_if_one_host_loses_several():
    names = [f"c{number}" for number in range(20)]
    site = Site(" ".join(names)).complete("c0", "root")
    for name in names[1:]:
        site.complete(name)
    site.after(300).join("recent").complete("recent").after(301).join("late")
    found = assignment(site.relay, "late")

    site.lose("late", *(peer.host for peer in (found.parent, *found.spares)))

    assert hosts(site, "left") == names
