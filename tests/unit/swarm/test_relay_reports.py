"""Reports reach a conductor at once or at intervals, and the answers are the newest assignments."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from precache.core.errors import ConductorUnreachable, RelayRefused
from precache.core.relays import Assignment, Peer, RelayReport, ReportKind, Source
from precache.swarm.current_assignment import CurrentAssignment
from precache.swarm.relay_reports import RelayReports, RelayState
from precache.swarm.route import Route
from tests.waiting import wait_until

PARENT, SPARE = Peer("one", "192.0.2.1:8785"), Peer("two", "192.0.2.2:8785")
FIRST = Assignment(
    relay="relay-1", host="three", version=3, source=Source.HOST, parent=PARENT, spares=(SPARE,), ticket="a",
    report_interval_s=0.05, retry_after_s=0.02,
)  # fmt: skip


class Conductor:
    """Answers with `answer`, or raises `error`."""

    def __init__(self) -> None:
        self.answer, self.error = FIRST, None
        self.reports: list[RelayReport] = []

    def report(self, report: RelayReport) -> Assignment:
        self.reports.append(report)
        if self.error is not None:
            raise self.error
        return self.answer

    def kinds(self) -> list[ReportKind]:
        return [report.kind for report in self.reports]


@pytest.fixture
def conductor():
    return Conductor()


@pytest.fixture
def reporting(conductor):
    """Return the assignment and the reports of a host that has 70 of 100 bytes."""
    assignment = CurrentAssignment(FIRST)
    state = RelayState(have_bytes=70, size_bytes=100, parent="one", version=3)
    reports = RelayReports(host="three", planner=conductor, assignment=assignment, state=lambda: state, share=lambda: 0)
    reports.start()
    yield assignment, reports
    reports.stop()


def test_progress_is_reported_at_intervals_until_the_host_is_complete(conductor, reporting):
    _, reports = reporting
    wait_until(lambda: len(conductor.reports) == 3)

    reports.end_regular()
    count = len(conductor.reports)
    time.sleep(0.2)

    assert len(conductor.reports) <= count + 1
    assert set(conductor.kinds()) == {ReportKind.PROGRESS}
    report = conductor.reports[0]
    assert (report.host, report.have_bytes, report.size_bytes, report.version) == ("three", 70, 100, 3)


def test_what_is_wrong_is_reported_until_a_conductor_has_answered(conductor, reporting):
    assignment, reports = reporting
    conductor.error = ConductorUnreachable("the test has stopped it")
    reports.send(ReportKind.LOST_PARENT, parent="one", lost=("one", "two"), reason="refused")
    wait_until(lambda: conductor.kinds().count(ReportKind.LOST_PARENT) > 2)
    assert reports.silent_for_s > 0

    conductor.answer, conductor.error = replace(FIRST, version=4, source=Source.WAIT), None

    wait_until(lambda: assignment.get().source is Source.WAIT)
    assert reports.silent_for_s == 0
    last = next(report for report in conductor.reports if report.kind is ReportKind.LOST_PARENT)
    assert (last.parent, last.lost, last.reason) == ("one", ("one", "two"), "refused")


def test_the_last_report_is_that_the_host_leaves_also_if_others_were_due(conductor, reporting):
    _, reports = reporting
    conductor.error = ConductorUnreachable("the test has stopped it")
    reports.send(ReportKind.SLOW)
    reports.leave("it was cancelled")
    wait_until(lambda: ReportKind.LEFT in conductor.kinds())
    conductor.error = None
    wait_until(lambda: conductor.kinds().count(ReportKind.LEFT) >= 2)

    time.sleep(0.2)

    assert conductor.kinds()[-1] is ReportKind.LEFT
    assert conductor.reports[-1].reason == "it was cancelled"


def test_a_host_that_leaves_without_an_answer_stops_to_report(conductor, reporting):
    _, reports = reporting
    conductor.error = ConductorUnreachable("the test has stopped it")
    reports.leave("it was cancelled")
    wait_until(lambda: conductor.kinds().count(ReportKind.LEFT) == 3)

    time.sleep(0.2)

    assert conductor.kinds().count(ReportKind.LEFT) == 3


def test_a_host_that_is_refused_learns_it_with_the_next_look(conductor, reporting):
    assignment, _ = reporting
    conductor.error = RelayRefused("three", "it is not in the inventory")

    wait_until(lambda: conductor.reports)
    wait_until(lambda: assignment.changes)

    with pytest.raises(RelayRefused, match="not in the inventory"):
        assignment.get()


@pytest.mark.parametrize(
    ("changes", "is_followed"),
    [
        ({"version": 2, "ticket": "b"}, False),
        ({"version": 3, "ticket": "b"}, True),
        ({"version": 4, "source": Source.WAIT}, True),
        ({"version": 4, "relay": "relay-2"}, False),
    ],
)
def test_an_older_assignment_and_one_of_another_relay_are_ignored(changes, is_followed):
    current, other = CurrentAssignment(FIRST), replace(FIRST, **changes)

    current.offer(other)

    assert (current.get() == other) is is_followed


def test_a_route_leads_to_the_parent_then_to_the_spares_and_repeats_a_host_some_times():
    route = Route(FIRST)

    assert [route.next(), *(route.next(may_repeat=True) for _ in range(4))] == [*[PARENT] * 4, SPARE]
    assert [route.next(), route.lost] == [None, ["one", "two"]]


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({"ticket": "b"}, True),
        ({"version": 4, "spares": ()}, True),
        ({"version": 4, "parent": SPARE}, False),
        ({"version": 4, "parent": Peer("one", "192.0.2.9:8785")}, False),
        ({"version": 4, "source": Source.IMAGE_SERVICE, "parent": None}, False),
    ],
)
def test_a_stream_goes_on_as_long_as_its_host_is_the_parent(changes, stays):
    route = Route(FIRST)
    route.next()

    assert route.follow(replace(FIRST, **changes)) is stays
