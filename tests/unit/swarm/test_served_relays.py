"""The end of serving an image, which a fetch of the same image may meet."""

from __future__ import annotations

import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.imagecache.served_entries import ServedEntries
from precache.swarm.offers import Serving
from precache.swarm.relay_file import RelayFile
from precache.swarm.served_relays import ServedRelays
from tests.swarm_files import RELAY
from tests.swarm_hosts import SwarmHosts


class SlowServer:
    """Ends the offer of a relay when it is told to."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()
        self.receiving: tuple[str, ...] = ()

    def offer(self, relay: str, file: RelayFile) -> None:
        raise NotImplementedError

    def withdraw(self, relay: str) -> None:
        self.began.set()
        self.may_end.wait(30)

    def serving(self, relay: str) -> Serving:
        return Serving(0, self.receiving)


def test_a_fetch_begins_only_when_the_end_of_the_earlier_offer_is_over(tmp_path):
    """Else that end would withdraw the file, and forget the assignment, of the new fetch."""
    server, ended = SlowServer(), threading.Event()
    served = ServedRelays(
        server=server,
        entries=ServedEntries(),
        serve_for=timedelta(minutes=5),
        clock=MemoryClock(),
        forget=lambda _relay: None,
    )
    file = RelayFile(tmp_path / "file", SwarmHosts().host("one"), RELAY)
    reports = SimpleNamespace(leave=lambda _reason: None, stop=lambda: None)
    served.add(RELAY, file, tmp_path / "file", reports)
    first = threading.Thread(target=served.end, args=(RELAY, "it is gone"))
    first.start()
    server.began.wait(30)

    def end_before_a_fetch() -> None:
        served.end(RELAY, "")
        ended.set()

    second = threading.Thread(target=end_before_a_fetch)
    second.start()

    assert not ended.wait(0.1)
    server.may_end.set()
    assert ended.wait(30)
    first.join()
    second.join()


@pytest.mark.parametrize(("child_until_s", "ended_at_s"), [(0, 5), (60, 65), (7200, 600)])
def test_without_time_to_serve_an_image_is_served_until_no_host_receives_it_any_more(
    tmp_path, child_until_s, ended_at_s
):
    server, now_s = SlowServer(), [0.0]
    server.may_end.set()
    served = ServedRelays(
        server=server,
        entries=ServedEntries(),
        serve_for=timedelta(0),
        clock=MemoryClock(),
        forget=lambda _relay: None,
        monotonic=lambda: now_s[0],
    )
    entry = tmp_path / "file"
    file = RelayFile(entry, SwarmHosts().host("one"), RELAY)
    served.add(RELAY, file, entry, SimpleNamespace(leave=lambda _reason: None, stop=lambda: None))

    while served.is_served(entry):
        server.receiving = ("two",) if now_s[0] <= child_until_s and child_until_s else ()
        served.check()
        now_s[0] += 1.0

    assert now_s[0] - 1.0 == ended_at_s
