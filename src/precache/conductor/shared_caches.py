"""The hosts of a job that share a cache: one works, and its results count for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from precache.conductor.job_run import JobRun
from precache.core.hosts import Host
from precache.core.images import ImageId
from precache.core.jobs import HostEnded, Outcome, TaskResult
from precache.rules.shared_caches import by_shared_cache, first_of, result_for_sharer

MOST_TRIES = 2
"""How many of the hosts try an image that fails. The third would most likely fail, too, and each try may take hours."""

FAILED = "hosts {}, which share this cache, failed: {}"


@dataclass(slots=True)
class _Group:
    """worker: the host that is called. held: the others. results: of the worker. failed: by image, who failed."""

    worker: Host
    held: list[Host]
    results: dict[ImageId, TaskResult] = field(default_factory=dict)
    failed: dict[ImageId, list[str]] = field(default_factory=dict)


class SharedCaches:
    """The hosts of one run that are not called while another works for them. For the run's own thread."""

    def __init__(self, run: JobRun) -> None:
        self._run = run
        self._groups: dict[str, _Group] = {}  # by the name of the worker

    def __len__(self) -> int:
        """Return the number of hosts that are held back."""
        return sum(len(group.held) for group in self._groups.values())

    def hold(self, hosts: Sequence[Host]) -> list[Host]:
        """Return those of the hosts that are to be called; hold back those for which another of them works."""
        held: set[str] = set()
        for sharers in by_shared_cache(hosts).values():
            worker = first_of(sharers, self._run.remaining.asked)
            others = [host for host in sharers if host.name != worker.name]
            self._groups[worker.name] = _Group(worker, others)
            held.update(host.name for host in others)
        return [host for host in hosts if host.name not in held]

    def note(self, step: HostEnded) -> None:
        group = self._groups.get(step.host)
        if group is not None:
            group.results |= {result.image: result for result in step.results}

    def release(self) -> list[Host]:
        """End the tasks of those whose worker has ended, as its tasks ended; return the hosts to call for the rest."""
        ended = [group for name, group in self._groups.items() if name not in self._run.recorder.unended]
        return [host for group in ended if (host := self._next(group)) is not None]

    def _next(self, group: _Group) -> Host | None:
        """End what the results of the worker decide; return the next worker, if something is left."""
        del self._groups[group.worker.name]
        decided = {image: self._decided(group, result) for image, result in group.results.items()}
        for host in group.held:
            self._end(host, decided)
        left = [host for host in group.held if host.name in self._run.recorder.unended]
        if not left:
            return None
        self._groups[left[0].name] = _Group(left[0], left[1:], failed=group.failed)
        return left[0]

    def _decided(self, group: _Group, result: TaskResult) -> TaskResult | None:
        """Return the result for the other hosts; None if one of them is to try."""
        shared = result_for_sharer(result, group.worker.name)
        if shared is not None or result.outcome is not Outcome.ERROR:
            return shared
        failed = group.failed.setdefault(result.image, [])
        failed.append(group.worker.name)
        if len(failed) < MOST_TRIES:
            return None
        return replace(result, bytes_moved=0, reason=FAILED.format(" and ".join(failed), result.reason))

    def _end(self, host: Host, decided: dict[ImageId, TaskResult | None]) -> None:
        run = self._run
        unended = run.recorder.unended.get(host.name, ())
        results = tuple(result for image in unended if (result := decided.get(image)) is not None)
        if results:
            run.recorder.note(HostEnded(host.name, results, run.clock.now(), host.cell or ""))
