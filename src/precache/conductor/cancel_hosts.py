"""Makes the hosts of a cancelled job stop, and ends the remaining tasks."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from precache.background.backoff import every, retry_until
from precache.background.daemon_pool import DaemonPool
from precache.conductor.ask_host import UNCONFIRMED, ask_host, same_result
from precache.conductor.host_dispatcher import HostDispatcher
from precache.conductor.job_run import JobRun
from precache.core.errors import ComputeUnreachable, PrecacheError
from precache.core.hosts import Host
from precache.core.images import ImageId
from precache.core.jobs import HostAsked, HostEnded, Outcome
from precache.ports.clock import Clock
from precache.ports.compute_gateway import CacheRequest, ComputeGateway

_log = logging.getLogger(__name__)

CANCEL_PATIENCE = timedelta(seconds=30)
"""How long a cancelled job waits for its hosts. A host that is up stops within 2 s; a broker restarts in 20 s."""

CANCEL_RETRY = every(timedelta(seconds=1))

NO_ANSWER = "the host did not report in time how its images ended"
NO_THREAD = "no thread could be started to tell the host"


@dataclass(slots=True)
class _HostCancel:
    """The cancel of the job on one host.

    is_called: a call to it is running, which returns its results.
    was_asked: an earlier conductor called it: after its confirmation this conductor asks how its images ended.
    failure: why the last attempt to tell it or to ask it failed.
    is_done: no further attempt is made.
    """

    host: str
    cell: str
    is_called: bool
    was_asked: bool
    failure: str = ""
    is_done: bool = False

    @property
    def is_known(self) -> bool:
        """Return whether the host has certainly been called; otherwise it is told once as a precaution."""
        return self.is_called or self.was_asked

    def may_answer(self, called: Mapping[str, str]) -> bool:
        """Return whether the results of the host may still arrive."""
        if self.is_called:
            return self.host in called and not (self.is_done and self.failure)
        return not self.is_done


class CancelHosts:
    """The use case. One object serves all jobs. `pool` is separate from that of the calls, which may be full."""

    def __init__(
        self,
        *,
        gateway: ComputeGateway,
        clock: Clock,
        pool: DaemonPool,
        patience: timedelta = CANCEL_PATIENCE,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._pool = pool
        self._patience_s = patience.total_seconds()

    def __call__(self, run: JobRun, dispatcher: HostDispatcher, by_cell: Mapping[str, Sequence[Host]]) -> None:
        """Stop every called host, note its results, and end all other tasks as cancelled.

        dispatcher: paused. by_cell: the hosts that are up. If the run is to stop, the next conductor does the rest. The
        last steps are noted, but not yet stored.
        """
        give_up_at = time.monotonic() + self._patience_s
        called = dispatcher.in_progress()
        run.note_steps()  # read afterwards, so that a host whose call has just ended counts as ended
        cancels = _hosts_to_stop(run, called, by_cell)
        _log.info("Job %s was cancelled: %i host(s) are told to stop", run.job.id, len(cancels))
        for cancel in cancels:
            self._submit(run, cancel, give_up_at)
        is_over = False
        while not is_over and not run.stop.is_cancelled:
            # Read before the steps are taken, so that they include those of the last host.
            called = dispatcher.in_progress()
            is_over = not any(cancel.may_answer(called) for cancel in cancels) or time.monotonic() > give_up_at
            if not is_over:
                run.wait_for_steps()
            run.note_steps()
            run.write_if_due()
        if not run.stop.is_cancelled:
            cells = {host.name: cell for cell, hosts in by_cell.items() for host in hosts}
            self._end_rest(run, {cancel.host: cancel.failure for cancel in cancels}, cells)

    def _submit(self, run: JobRun, cancel: _HostCancel, give_up_at: float) -> None:
        try:
            self._pool.submit(self._cancel, run, cancel, give_up_at)
        except RuntimeError:  # the system can start no further thread
            cancel.failure, cancel.is_done = NO_THREAD, True

    def _cancel(self, run: JobRun, cancel: _HostCancel, give_up_at: float) -> None:
        try:
            retry_until(
                lambda: self._send_cancel(run.job.id, cancel),
                what="The cancel of job",
                of=f"{run.job.id} on host {cancel.host}",
                wait=run.stop.wait,
                backoff=CANCEL_RETRY,
                errors=ComputeUnreachable,
                gives_up=lambda _error, _failures, pause_s: (
                    not cancel.is_known or time.monotonic() + pause_s > give_up_at
                ),
            )
            if cancel.was_asked:
                self._ask_again(run, cancel)
        except PrecacheError as error:
            cancel.failure = str(error)
        except Exception as error:  # noqa: BLE001  a bug in a gateway must not leave a host without an outcome
            _log.exception("Cancelling job %s on host %s failed", run.job.id, cancel.host)
            cancel.failure = f"telling the host failed: {error}; the conductor's log has the details"
        cancel.is_done = True

    def _send_cancel(self, job_id: str, cancel: _HostCancel) -> None:
        try:
            self._gateway.cancel(job_id, cancel.host, cancel.cell)
        except ComputeUnreachable as error:
            cancel.failure = str(error)
            raise
        cancel.failure = ""

    def _ask_again(self, run: JobRun, cancel: _HostCancel) -> None:
        """Ask how the images of an earlier call ended: after the cancel the host begins none of them."""
        images = run.remaining.images[cancel.host]
        run.steps.put(HostAsked(cancel.host, cancel.cell, images, self._clock.now()))
        request = CacheRequest(run.job.id, cancel.host, cancel.cell, run.orders_of(images))
        results = ask_host(self._gateway, request, run.work)
        run.steps.put(HostEnded(cancel.host, results, self._clock.now()))

    def _end_rest(self, run: JobRun, failures: Mapping[str, str], cells: Mapping[str, str]) -> None:
        """Note the remaining tasks as cancelled. failures: of the hosts that were told to stop. cells: by host."""
        left: dict[str, tuple[ImageId, ...]] = dict(run.recorder.unended)
        for host, images in left.items():
            reason = UNCONFIRMED.format(failures.get(host) or NO_ANSWER) if run.recorder.was_asked(host) else ""
            results = same_result(images, Outcome.CANCELLED, reason)
            run.recorder.note(HostEnded(host, results, self._clock.now(), cells.get(host, "")))


def _hosts_to_stop(run: JobRun, called: Mapping[str, str], by_cell: Mapping[str, Sequence[Host]]) -> list[_HostCancel]:
    """Return the hosts that are being called, and those that an earlier conductor has called or may have called.

    called: the cells of the hosts that are being called.
    """
    left = {host for host in run.recorder.unended if host not in called}
    asked = {host: cell for host, cell in run.remaining.asked.items() if host in left}
    maybe: dict[str, str] = {}
    if run.job.lease_token > 1:
        # An earlier conductor may have died after calls that it had not recorded yet.
        up = {host.name: cell for cell, hosts in by_cell.items() for host in hosts}
        maybe = {host: cell for host, cell in up.items() if host in left and host not in asked}
    return [
        *(_HostCancel(host, cell, is_called=True, was_asked=False) for host, cell in called.items()),
        *(_HostCancel(host, cell, is_called=False, was_asked=True) for host, cell in asked.items()),
        *(_HostCancel(host, cell, is_called=False, was_asked=False) for host, cell in maybe.items()),
    ]
