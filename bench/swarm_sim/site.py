"""One simulated site: its hosts, as `swarm/` behaves, and the conductor's rules, which are the real ones."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from random import Random

from bench.swarm_sim.flow import NOBODY, Flow, Link
from bench.swarm_sim.sites import SimSite
from precache.core.images import ImageId
from precache.core.relays import Assignment, Form, Relay, RelayKey, RelayMember, RelayReport, ReportKind, Source
from precache.rules.relay_assignment import assignment
from precache.rules.relay_lag import RelayLag
from precache.rules.relay_plan import joined, overdue, reported

_START = datetime(2026, 11, 30, tzinfo=UTC)
_WATCH_EVERY_S = 0.15
_SAMPLED = 16
"""Of so many messages the processor time of one is measured: the clock for that is slow."""

LATE_X = 1.5

SEEDER_SLOW, SEEDER_DIED, NO_POWER, STRAGGLER = "a slow seeder", "a dead seeder", "a power loss", "a straggler"
CAUSES = (SEEDER_DIED, SEEDER_SLOW, NO_POWER, STRAGGLER, "none of these")
"""What happened to the site of a late host; the first of these that did."""

_TAIL_FLOORS, _TAIL_STEPS = 4, 10
"""After so many times the transfer only stragglers are left, and steps may be so many times as long."""

_IMAGE = ImageId("70a599e0-31e7-49b7-b260-868f441e862b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How hosts and conductors behave, in seconds.

    message: from a host to a conductor or back, with the work on it; up to twice that. connect: to another host.
    reset: after which a host notices that its parent was killed. stall: the same without a reset. refused_after: a
    connection to a host without power fails after that. look: the conductor looks for silent hosts so often.
    change, change_per_member: what a conductor needs for a change of the relay that hosts join, which reads all
    members; it has so many threads for them, and hosts that wait at the same time share one change.
    judges: whether stragglers are looked for at all.
    """

    step: float = 0.1
    epoch: float = 0.5
    message: float = 0.02
    connect: float = 0.03
    reset: float = 0.05
    stall: float = 2.0
    refused_after: float = 2.0
    look: float = 2.0
    change: float = 0.005
    change_per_member: float = 30e-6
    threads: int = 8
    judges: bool = True
    link: Link = field(default_factory=Link)
    latest: float = 40.0
    """A run ends after that many times the floor."""


@dataclass(slots=True)
class SiteResult:
    """x: of each host that was neither killed nor powered off: its time by that which its own link would need.

    took: the same in seconds from the first call. unfinished: hosts that have not got the image.
    copies: of the image, that the image service sent. kinds: messages, by kind. seconds: messages, by second;
    busy_seconds: those of them that are neither joins nor completions. cpu_s: of the rules; worst_cpu_s: for one of
    the messages. named_after: from when a host became a straggler until the conductor named it, in seconds.
    wrongly_named: hosts that were no stragglers, and were named. late: hosts with an x above `LATE_X`, by what
    happened to their site.
    """

    hosts: int = 0
    x: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    unfinished: int = 0
    copies: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: Counter[int] = field(default_factory=Counter)
    busy_seconds: Counter[int] = field(default_factory=Counter)
    cpu_s: float = 0.0
    worst_cpu_s: float = 0.0
    named_after: list[float] = field(default_factory=list)
    wrongly_named: int = 0
    late: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Host:
    """What a host knows: its assignment, which hosts it has lost, and since when it receives from the present one."""

    assignment: Assignment | None = None
    lost: list[str] = field(default_factory=list)
    is_alive: bool = True
    is_reset: bool = True
    lag: RelayLag | None = None
    lag_base: float = 0.0
    done_at: float = 0.0


class Simulation:
    """Runs one site until all hosts have the image."""

    def __init__(self, site: SimSite, habits: Habits, *, interval_s: float, seed: int) -> None:
        self._site, self._habits, self._interval = site, habits, interval_s
        self._random = Random(seed)
        self._flow = Flow(
            hosts=site.hosts, size=site.size_bytes, link=habits.link, epoch=habits.epoch, random=self._random
        )
        self._hosts = [_Host() for _ in site.hosts]
        self._names = [f"h{number}" for number in range(len(site.hosts))]
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self._relay = Relay(id=site.name, key=RelayKey("c", site.name, _IMAGE, Form.RAW), created_at=_START)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._now = 0.0
        self._left = len(site.hosts)
        self._joining: list[tuple[int, RelayMember]] = []
        self._causes: Counter[str] = Counter()
        self.result = SiteResult(hosts=len(site.hosts))

    def run(self) -> SiteResult:
        for number, host in enumerate(self._site.hosts):
            self._at(host.called_at, lambda number=number: self._join(number))  # type: ignore[misc]
        self._at(self._habits.look, self._look)
        if self._site.seeder_dies_at is not None:
            self._at(self._site.seeder_dies_at, self._kill_seeder)
        watch_at = 0.0
        end = self._habits.latest * self._site.size_bytes / self._site.rate
        while self._now < end and self._left:
            step = self._habits.step
            if self._now > _TAIL_FLOORS * self._site.size_bytes / self._site.rate:
                step *= _TAIL_STEPS
            tick = self._now + step
            while self._events and self._events[0][0] <= tick:
                self._now, _, action = heapq.heappop(self._events)
                action()
            self._now = tick
            for number, at in self._flow.advance(self._now, step):
                self._complete(number, at)
            if self._habits.judges and self._now >= watch_at:
                self._watch()
                watch_at = self._now + _WATCH_EVERY_S
        self._conclude()
        return self.result

    # --- hosts

    def _join(self, number: int) -> None:
        host = self._site.hosts[number]
        member = RelayMember(
            host=self._names[number],
            address=f"{self._names[number]}:8785",
            key=self._names[number],
            link_bytes_per_s=int(host.known_rate),
        )
        self._count("join")
        self._at(self._now + self._delay(), lambda: self._queue_join(number, member))
        if host.dies_at is not None:
            self._at(self._now + host.dies_at, lambda: self._die(number, is_reset=True))
        if host.powers_off_at is not None:
            self._at(self._now + host.powers_off_at, lambda: self._die(number, is_reset=False))
        if host.slows_at is not None:
            self._at(self._now + host.slows_at, lambda: self._slow_down(number))

    def _slow_down(self, number: int) -> None:
        self._causes[SEEDER_SLOW if self._flow.fetches[number] else STRAGGLER] += 1
        self._flow.slow_down(number, self._site.hosts[number].slows_to)

    def _die(self, number: int, *, is_reset: bool) -> None:
        host = self._hosts[number]
        if not host.is_alive or self._flow.is_complete[number]:
            return
        host.is_alive, host.is_reset = False, is_reset
        if self._flow.fetches[number]:
            self._causes[SEEDER_DIED] += 1
        elif not is_reset:
            self._causes[NO_POWER] += 1
        self._left -= 1
        self._flow.stop(number)
        for child, parent in enumerate(self._flow.parent):
            if parent == number:
                self._flow.stop(child)
                self._after_loss(child, number)

    def _kill_seeder(self) -> None:
        for number, fetches in enumerate(self._flow.fetches):
            if fetches and not self._flow.is_complete[number]:
                self._die(number, is_reset=True)

    def _after_loss(self, number: int, parent: int) -> None:
        wait = self._habits.reset if self._hosts[parent].is_reset else self._habits.stall
        self._at(self._now + wait, lambda: self._go_on(number, self._names[parent]))

    def _follow(self, number: int, new: Assignment) -> None:
        host = self._hosts[number]
        old = host.assignment
        if not host.is_alive or self._flow.is_complete[number] or (old and new.version < old.version):
            return
        host.assignment = new
        if old is None:
            self._at(self._now + new.report_interval_s * self._random.random(), lambda: self._progress(number))
        if old is not None and old.version == new.version:
            return
        if new.source is Source.IMAGE_SERVICE:
            if not self._flow.fetches[number]:
                self._flow.fetch(number, self._now + self._habits.connect)
        elif new.source is Source.HOST and new.parent is not None:
            if self._numbers[new.parent.host] != self._flow.parent[number]:
                host.lost = []
                self._connect(number, new.parent.host)
        else:
            self._flow.stop(number)
            self._at(self._now + new.retry_after_s, lambda: self._ask_again(number))

    def _connect(self, number: int, name: str) -> None:
        parent = self._numbers[name]
        host = self._hosts[number]
        host.lag = None
        if self._hosts[parent].is_alive:
            self._flow.receive(number, parent, self._now + self._habits.connect)
            return
        self._flow.stop(number)
        wait = self._habits.reset if self._hosts[parent].is_reset else self._habits.refused_after
        version = host.assignment.version if host.assignment else 0
        self._at(self._now + wait, lambda: self._go_on(number, name, version))

    def _go_on(self, number: int, lost: str, version: int | None = None) -> None:
        """Go to the next spare after one was lost, or report that there is none."""
        host = self._hosts[number]
        current = host.assignment
        if not host.is_alive or current is None or self._flow.is_complete[number]:
            return
        if self._flow.parent[number] != NOBODY or (version is not None and version != current.version):
            return  # A new assignment was faster.
        host.lost.append(lost)
        peers = [current.parent, *current.spares] if current.parent else []
        following = next((peer.host for peer in peers if peer and peer.host not in host.lost), None)
        if following is not None:
            self._connect(number, following)
            return
        parent = current.parent.host if current.parent else ""
        self._report(number, ReportKind.LOST_PARENT, parent=parent, lost=tuple(host.lost))

    def _ask_again(self, number: int) -> None:
        host = self._hosts[number]
        if host.is_alive and host.assignment is not None and host.assignment.source is Source.WAIT:
            self._report(number, ReportKind.PROGRESS)
            self._at(self._now + host.assignment.retry_after_s, lambda: self._ask_again(number))

    def _progress(self, number: int) -> None:
        host = self._hosts[number]
        if not host.is_alive or self._flow.is_complete[number]:
            return
        self._report(number, ReportKind.PROGRESS)
        if host.assignment is not None:
            self._at(self._now + host.assignment.report_interval_s, lambda: self._progress(number))

    def _complete(self, number: int, at: float) -> None:
        self._hosts[number].done_at = at
        self._left -= 1
        root = "root" if self._flow.fetches[number] else ""
        self._report(number, ReportKind.COMPLETE, root=root)

    def _watch(self) -> None:
        """Let hosts look whether they lag. Those that do not are skipped, which the real rule would find out, too."""
        flow, now = self._flow, self._now
        for number in flow.active():
            parent = flow.parent[number]
            if parent < 0:
                continue
            host = self._hosts[number]
            offered = flow.size if flow.is_complete[parent] else flow.have[parent]
            if host.lag is None:
                if offered - flow.have[number] < 0.1 * self._site.rate or flow.ready_at[number] > now:
                    continue
                host.lag, host.lag_base = RelayLag(now), flow.have[number]
            host.lag.note(now, int(flow.have[number] - host.lag_base))
            if host.lag.is_to_report(now, int(flow.have[number]), int(offered)):
                self._report(number, ReportKind.SLOW)

    # --- messages

    def _report(self, number: int, kind: ReportKind, *, parent: str = "", lost: tuple[str, ...] = (),
                root: str = "") -> None:  # fmt: skip
        flow, host = self._flow, self._hosts[number]
        above = flow.parent[number]
        offered = 0 if above < 0 else flow.size if flow.is_complete[above] else flow.have[above]
        report = RelayReport(
            relay=self._relay.id,
            host=self._names[number],
            kind=kind,
            version=host.assignment.version if host.assignment else 0,
            have_bytes=min(int(flow.have[number]), self._site.size_bytes),
            offered_bytes=min(int(offered), self._site.size_bytes),
            rate_bytes_per_s=host.lag.rate_bytes_per_s if host.lag else int(flow.rate[number]),
            size_bytes=self._site.size_bytes,
            parent=parent or (self._names[above] if above >= 0 else ""),
            lost=lost,
            root=root,
        )
        self._send(kind.value, number, lambda now: reported(self._relay, report, now))

    def _queue_join(self, number: int, member: RelayMember) -> None:
        """Let a conductor make changes of the relay one after another, each for all that have come meanwhile."""
        self._joining.append((number, member))
        if len(self._joining) == 1:
            self._at(self._now, self._begin_joins)

    def _begin_joins(self) -> None:
        count = min(len(self._joining), self._habits.threads)
        seconds = self._habits.change + self._habits.change_per_member * len(self._relay.members)
        self._at(self._now + seconds, lambda: self._end_joins(count))

    def _end_joins(self, count: int) -> None:
        for number, member in self._joining[:count]:
            self._apply(lambda now, member=member: joined(self._relay, member, now), self._names[number])  # type: ignore[misc]
        del self._joining[:count]
        if self._joining:
            self._begin_joins()

    def _count(self, kind: str) -> None:
        self.result.kinds[kind] += 1
        self.result.seconds[int(self._now)] += 1
        if kind not in ("join", "complete"):
            self.result.busy_seconds[int(self._now)] += 1

    def _send(self, kind: str, number: int, rule: Callable[[datetime], Relay]) -> None:
        """Let a conductor apply the rule in a moment, and the hosts concerned learn of it in another one."""
        self._count(kind)
        self._at(self._now + self._delay(), lambda: self._apply(rule, self._names[number]))

    def _apply(self, rule: Callable[[datetime], Relay], asking: str) -> None:
        before = self._relay
        is_sample = self._sequence % _SAMPLED == 0
        started = time.thread_time() if is_sample else 0.0
        self._relay = rule(_START + timedelta(seconds=self._now))
        changed = _changes(before, self._relay)
        told = dict.fromkeys([member.host for old, member in changed if old is None or old.version != member.version])
        if asking:
            told[asking] = None
        answers = [assignment(self._relay, host, report_interval_s=self._interval) for host in told]
        took = time.thread_time() - started if is_sample else 0.0
        self.result.cpu_s += took * _SAMPLED
        self.result.worst_cpu_s = max(self.result.worst_cpu_s, took)
        for old, member in changed:
            if member.is_leaf and old is not None and not old.is_leaf:
                self._note_straggler(self._numbers[member.host])
        for answer in answers:
            self.result.kinds["cast"] += answer.host != asking
            self._at(
                self._now + self._delay(),
                lambda answer=answer: self._follow(self._numbers[answer.host], answer),  # type: ignore[misc]
            )

    def _note_straggler(self, number: int) -> None:
        host = self._site.hosts[number]
        slow_at = None if host.slows_at is None else host.called_at + host.slows_at
        if slow_at is not None and slow_at <= self._now:
            self.result.named_after.append(self._now - slow_at)
        elif host.rate > self._site.rate / 2:
            self.result.wrongly_named += 1

    def _look(self) -> None:
        self._apply(lambda now: overdue(self._relay, now, self._interval), "")
        self._at(self._now + self._habits.look, self._look)

    def _delay(self) -> float:
        return self._habits.message * (1 + self._random.random())

    def _at(self, when: float, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (when, self._sequence, action))

    # --- results

    def _conclude(self) -> None:
        result, size = self.result, self._site.size_bytes
        result.copies = self._flow.from_service / size
        for host, state, is_complete in zip(self._site.hosts, self._hosts, self._flow.is_complete, strict=True):
            if not is_complete:
                result.unfinished += state.is_alive
                continue
            alone = size / host.rate
            if host.slows_at is not None and host.slows_at < alone:
                alone = host.slows_at + (size - host.slows_at * host.rate) / (host.rate * host.slows_to)
            result.x.append((state.done_at - host.called_at) / alone)
            result.took.append(state.done_at)
        cause = next((each for each in CAUSES if self._causes[each]), CAUSES[-1])
        late = sum(x > LATE_X for x in result.x)
        if late:
            result.late[cause] += late


def _changes(before: Relay, after: Relay) -> list[tuple[RelayMember | None, RelayMember]]:
    """Return the members that have changed, as they were and as they are. Members keep their positions."""
    pairs = zip_longest(before.members, after.members)
    return [(old, new) for old, new in pairs if old is not new and new is not None]
