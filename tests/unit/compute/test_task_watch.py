"""What a host reports of one task, and how often."""

from datetime import timedelta

import pytest

from precache.background.cancel_token import CancelToken
from precache.background.deadline import Deadline
from precache.compute.task_watch import TaskWatch
from precache.core.bytes_from import BytesFrom
from precache.core.errors import Stopped
from precache.core.images import parse_image_id
from precache.core.jobs import Phase, TaskProgress
from precache.core.stopping import StopReason
from precache.ports.progress import note_decoder, note_source
from precache.rules.relay_assignment import report_interval_s

IMAGE = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
BEGINNING = TaskProgress("job", "cmp-1", IMAGE, Phase.WAITING, 0, 0, "cell1")
LOADING = Phase.DOWNLOADING


class World:
    def __init__(self):
        self.now_s = 0.0
        self.reports: list[TaskProgress] = []
        self.stop = CancelToken()
        self.watch = TaskWatch(
            "Caching", BEGINNING, self, self.stop, Deadline(None), lambda _image: False, lambda: self.now_s
        )

    def add(self, progress):
        self.reports.append(progress)

    def receive(self, until_s, parent, interval_s=0.0, phase=LOADING):
        """Receive from that host, with a look every tenth of a second."""
        while self.now_s < until_s:
            self.now_s = round(self.now_s + 0.1, 1)
            done = round(self.now_s * 10)
            note_source(self.watch, parent, BytesFrom(hosts=done), timedelta(seconds=interval_s))
            self.watch(phase, done, 1000)

    def taken(self):
        taken, self.reports = self.reports, []
        return taken


@pytest.fixture
def world():
    return World()


def test_a_download_from_the_image_service_is_reported_at_every_look(world):
    for done in range(5):
        world.watch(LOADING, done, 10)

    assert [report.bytes_done for report in world.taken()] == [0, 1, 2, 3, 4]
    assert world.watch.bytes_from is None


@pytest.mark.parametrize(("interval_s", "reports"), [(0.5, 10), (2.0, 10), (3.0, 3)])
def test_a_transfer_by_swarm_is_reported_every_two_seconds_or_much_less_often_if_many_hosts_take_part(
    world, interval_s, reports
):
    world.receive(20, "cmp-2", interval_s)

    taken = world.taken()
    assert len(taken) == reports
    assert (taken[-1].parent, taken[-1].bytes_from) == ("cmp-2", BytesFrom(hosts=taken[-1].bytes_done))


@pytest.mark.parametrize(("hosts", "most_per_s"), [(100, 120), (1_000, 400), (2_000, 650), (10_000, 600)])
def test_all_hosts_together_send_few_messages(world, hosts, most_per_s):
    """Count heartbeats, the regular reports to relays, and these reports on tasks."""
    interval_s, seconds = report_interval_s(hosts), 1_000
    while world.now_s < seconds:
        world.now_s += 0.5
        note_source(world.watch, "cmp-2", BytesFrom(), timedelta(seconds=interval_s))
        world.watch(LOADING, 1, 1000)

    per_s = hosts * (1 / 30 + 1 / interval_s + len(world.taken()) / seconds)
    assert 0.5 * most_per_s < per_s <= most_per_s


def test_another_parent_and_another_phase_are_reported_at_once(world):
    world.receive(1, "cmp-2")
    world.receive(2, "cmp-3")
    world.receive(2.1, "cmp-3", phase=Phase.PUBLISHING)

    assert [(report.parent, report.phase) for report in world.taken()] == [
        ("cmp-2", LOADING),
        ("cmp-3", LOADING),
        ("cmp-3", Phase.PUBLISHING),
    ]


def test_a_stop_is_seen_at_every_look(world):
    world.receive(1, "cmp-2")
    world.stop.cancel(StopReason.CANCELLED)

    with pytest.raises(Stopped):
        world.receive(1.1, "cmp-2")
    assert len(world.taken()) == 1


def test_a_watcher_that_is_a_function_needs_neither_sources_nor_decoders():
    def watch(_phase, _done, _total):
        return None

    note_source(watch, "cmp-2", BytesFrom(), timedelta())
    note_decoder(watch, "stream")
