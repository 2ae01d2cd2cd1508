"""The bytes of one site: what each host has, tick by tick.

A host receives at the lowest of its own rate and its share of its parent's, and stays at least a few pieces behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from bench.swarm_sim.sites import SimHost

NOBODY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a hop costs: a host passes a piece on `pieces` later, and `seconds` besides."""

    piece_bytes: int = 64 << 10
    pieces: float = 4.0
    seconds: float = 0.002

    def behind(self, rate: float) -> float:
        return self.pieces * self.piece_bytes + self.seconds * rate


class Flow:
    """The edges and the bytes. `advance` moves time on; everything else tells who receives from whom."""

    def __init__(self, *, hosts: tuple[SimHost, ...], size: float, link: Link, epoch: float, random: Random) -> None:
        count = len(hosts)
        self.size, self._link, self._epoch, self._random = size, link, epoch, random
        self.have = [0.0] * count
        self.parent = [NOBODY] * count
        self.fetches = [False] * count
        self.fetched = [0.0] * count
        self.from_service = 0.0
        self.is_complete = [False] * count
        self.ready_at = [0.0] * count
        self._hosts = hosts
        self.rate = [host.rate for host in hosts]
        self._now_rate = list(self.rate)
        self._cap = [0.0] * count
        self._behind = [link.behind(host.rate) for host in hosts]
        self._order: list[int] = []
        self._is_stale = True
        self._next_epoch = 0.0

    def receive(self, host: int, parent: int, ready_at: float) -> None:
        self.parent[host], self.fetches[host], self.ready_at[host] = parent, False, ready_at
        self._is_stale = True

    def fetch(self, host: int, ready_at: float) -> None:
        """Let the host fetch from the image service: from the start, because it verifies the whole."""
        self.parent[host], self.fetches[host], self.ready_at[host] = NOBODY, True, ready_at
        self.fetched[host] = 0.0
        self._is_stale = True

    def stop(self, host: int) -> None:
        self.parent[host], self.fetches[host] = NOBODY, False
        self._is_stale = True

    def slow_down(self, host: int, to: float) -> None:
        self.rate[host] *= to
        self._now_rate[host] *= to
        self._is_stale = True

    def active(self) -> list[int]:
        return self._order

    def advance(self, now: float, step: float) -> list[tuple[int, float]]:
        """Move on by one step, which ends at `now`; return the hosts that got everything, and when."""
        if now >= self._next_epoch:
            self._next_epoch += self._epoch
            self._draw_rates()
            self._is_stale = True
        if self._is_stale:
            self._plan()
        have, parent, cap, behind, ready = self.have, self.parent, self._cap, self._behind, self.ready_at
        size, done = self.size, []
        for host in self._order:
            if ready[host] > now:
                continue
            before = have[host]
            above = parent[host]
            if above < 0:
                fetched = self.fetched[host]
                self.fetched[host] = fetched + cap[host] * step
                self.from_service += min(self.fetched[host], size) - fetched
                after = max(before, self.fetched[host])
                if self.fetched[host] < size <= after:
                    continue  # It has all pieces, and has not verified the whole.
            else:
                after = before + cap[host] * step
                if not self.is_complete[above] and after > have[above] - behind[host]:
                    after = max(have[above] - behind[host], before)
            if after >= size:
                done.append((host, now - (after - size) / cap[host]))
            have[host] = after  # More than everything at the end: a child is as far behind as before.
        for host, _ in done:
            self.is_complete[host] = True
            self._is_stale = True
        return done

    def _draw_rates(self) -> None:
        draw = self._random.random
        for number in self._order:
            jitter = self._hosts[number].jitter
            self._now_rate[number] = self.rate[number] * (1 - jitter + 2 * jitter * draw())

    def _plan(self) -> None:
        """Order the hosts, parents first, and share the rate of each parent among its children."""
        children: dict[int, list[int]] = {}
        order = []
        for host, parent in enumerate(self.parent):
            if self.is_complete[host]:
                continue
            if parent >= 0:
                children.setdefault(parent, []).append(host)
            elif self.fetches[host]:
                order.append(host)
                self._cap[host] = self._now_rate[host]
        complete = [host for host in children if self.is_complete[host]]
        level: Iterable[int] = [*complete, *order]
        while level:
            below = []
            for host in level:
                if host in children:
                    self._share(host, children[host])
                    below += children[host]
            order += below
            level = below
        self._order = order
        self._is_stale = False

    def _share(self, parent: int, children: list[int]) -> None:
        """Share evenly; what a slow child cannot use is left to the others."""
        left, count = self._now_rate[parent], len(children)
        for child in sorted(children, key=self._now_rate.__getitem__) if count > 1 else children:
            self._cap[child] = min(self._now_rate[child], left / count)
            left -= self._cap[child]
            count -= 1
