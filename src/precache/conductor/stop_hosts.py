"""Makes the hosts of a stopped job stop, and ends its remaining tasks if the job does not continue."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from precache.background.backoff import every, retry_until
from precache.background.daemon_pool import DaemonPool
from precache.conductor.ask_host import UNCONFIRMED, ask_host, same_result
from precache.conductor.host_dispatcher import HostDispatcher
from precache.conductor.job_run import HostAnswer, JobRun
from precache.core.errors import ComputeUnreachable, PrecacheError
from precache.core.images import ImageId
from precache.core.jobs import HostAsked, HostEnded, Outcome
from precache.core.stopping import StopReason
from precache.core.text import number_of
from precache.ports.clock import Clock
from precache.ports.compute_gateway import ComputeGateway, ImagesRequest
from precache.rules.stopping import Ending, HostMessage

_log = logging.getLogger(__name__)

STOP_HOSTS_PATIENCE = timedelta(seconds=30)
"""How long a stopped job waits for its hosts. A host that is up stops within 2 s; a broker restarts in 20 s."""

STOP_HOST_RETRY = every(timedelta(seconds=1))

NO_ANSWER = "the host did not report in time how its images ended"
NO_THREAD = "no thread could be started to tell the host"

_WHY = {
    StopReason.CANCELLED: "was cancelled",
    StopReason.PAUSED: "was paused",
    StopReason.WINDOW_CLOSED: "may not run at this time",
    StopReason.DEADLINE_PASSED: "has passed its deadline",
    StopReason.CANARY_FAILED: "has a canary that failed",
}


@dataclass(slots=True)
class _HostStop:
    """The stop of the job on one host.

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


class StopHosts:
    """The use case. One object serves all jobs. `pool` is separate from that of the calls, which may be full."""

    def __init__(
        self,
        *,
        gateway: ComputeGateway,
        clock: Clock,
        pool: DaemonPool,
        patience: timedelta = STOP_HOSTS_PATIENCE,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._pool = pool
        self._patience_s = patience.total_seconds()

    def __call__(self, run: JobRun, dispatcher: HostDispatcher, ending: Ending) -> None:
        """Stop every called host and note its results; then end all other tasks, unless the job continues.

        dispatcher: paused. If the run is to stop, the next conductor does the rest. The last steps are noted, but not
        yet stored.
        """
        give_up_at = time.monotonic() + self._patience_s
        called = dispatcher.in_progress()
        run.note_events()  # read afterwards, so that a host whose call has just ended counts as ended
        stops = [] if ending.message is None else _hosts_to_stop(run, called)
        why = _WHY.get(run.work.reason or StopReason.ABANDONED, "is to stop")
        _log.info("Job %s %s: telling %s to stop", run.job.id, why, number_of(len(stops), "host"))
        for stop in stops:
            self._submit(run, stop, ending, give_up_at)
        is_over = False
        while not is_over and not run.stop.is_cancelled:
            # Read before the events are taken, so that they include those of the last host.
            called = dispatcher.in_progress()
            is_over = not any(stop.may_answer(called) for stop in stops) or time.monotonic() > give_up_at
            if not is_over:
                run.wait_for_events()
            run.note_events()
            run.write_if_due()
        if not run.stop.is_cancelled:
            self._note_unconfirmed(run, stops, called)
            if ending.rest is not None:
                self._end_rest(run, ending.rest, {stop.host: stop.failure for stop in stops})

    def _submit(self, run: JobRun, stop: _HostStop, ending: Ending, give_up_at: float) -> None:
        try:
            self._pool.submit(self._stop, run, stop, ending, give_up_at)
        except RuntimeError:  # the system can start no further thread
            stop.failure, stop.is_done = NO_THREAD, True

    def _stop(self, run: JobRun, stop: _HostStop, ending: Ending, give_up_at: float) -> None:
        try:
            retry_until(
                lambda: self._send(run, stop, ending),
                what="The stop of job",
                of=f"{run.job.id} on host {stop.host}",
                wait=run.stop.wait,
                backoff=STOP_HOST_RETRY,
                errors=ComputeUnreachable,
                gives_up=lambda _error, _failures, pause_s: (
                    not stop.is_known or time.monotonic() + pause_s > give_up_at
                ),
            )
            if stop.was_asked:
                self._ask_again(run, stop, ending)
        except PrecacheError as error:
            stop.failure = str(error)
        except Exception as error:  # noqa: BLE001  a bug in a gateway must not leave a host without an outcome
            _log.exception("Stopping job %s on host %s failed", run.job.id, stop.host)
            stop.failure = f"telling the host failed: {error}; the conductor's log has the details"
        stop.is_done = True

    def _send(self, run: JobRun, stop: _HostStop, ending: Ending) -> None:
        send = self._gateway.pause if ending.message is HostMessage.PAUSE else self._gateway.cancel
        try:
            send(run.job.id, stop.host, stop.cell, run.job.retry_count)
        except ComputeUnreachable as error:
            stop.failure = str(error)
            raise
        stop.failure = ""

    def _ask_again(self, run: JobRun, stop: _HostStop, ending: Ending) -> None:
        """Ask how the images of an earlier call ended: the host begins none of them."""
        images = run.remaining.images[stop.host]
        run.events.put(HostAsked(stop.host, stop.cell, images, self._clock.now()))
        request = ImagesRequest(
            run.job.id,
            stop.host,
            stop.cell,
            run.orders_of(images),
            is_cancelled=ending.message is HostMessage.CANCEL,
            is_paused=ending.message is HostMessage.PAUSE,
            retry_count=run.job.retry_count,
            operation=run.job.operation,
        )
        results = ask_host(self._gateway, request, lambda: run.ending)
        run.events.put(HostAnswer(stop.host, results, self._clock.now()))

    def _note_unconfirmed(self, run: JobRun, stops: list[_HostStop], called: Mapping[str, str]) -> None:
        """Note in the run and in the log the called hosts that may go on."""
        for stop in stops:
            if stop.is_known and (stop.failure or (stop.is_called and stop.host in called)):
                run.unconfirmed[stop.host] = stop.failure or NO_ANSWER
                _log.warning("Job %s may go on on host %s: %s", run.job.id, stop.host, run.unconfirmed[stop.host])

    def _end_rest(self, run: JobRun, rest: Outcome, failures: Mapping[str, str]) -> None:
        """Note the ends of the remaining tasks. failures: of the hosts that were told to stop."""
        left: dict[str, tuple[ImageId, ...]] = dict(run.recorder.unended)
        for host, images in left.items():
            results = same_result(images, rest, _reason_of_rest(run, host, failures))
            run.recorder.note(HostEnded(host, results, self._clock.now(), run.cell_of(host)))


def _reason_of_rest(run: JobRun, host: str, failures: Mapping[str, str]) -> str:
    if run.work.reason is StopReason.CANARY_FAILED:
        return f"this host was not called. {run.reason}"
    return UNCONFIRMED.format(failures.get(host) or NO_ANSWER) if run.recorder.was_asked(host) else ""


def _hosts_to_stop(run: JobRun, called: Mapping[str, str]) -> list[_HostStop]:
    """Return the hosts that are being called, and those that an earlier conductor has called or may have called.

    called: the cells of the hosts that are being called.
    """
    left = {host for host in run.recorder.unended if host not in called}
    asked = {host: cell for host, cell in run.remaining.asked.items() if host in left}
    maybe: dict[str, str] = {}
    if run.job.may_have_calls:
        # An earlier conductor may have died after calls that it had not recorded yet.
        maybe = {host: run.cell_of(host) for host in run.up if host in left and host not in asked}
    return [
        *(_HostStop(host, cell, is_called=True, was_asked=False) for host, cell in called.items()),
        *(_HostStop(host, cell, is_called=False, was_asked=True) for host, cell in asked.items()),
        *(_HostStop(host, cell, is_called=False, was_asked=False) for host, cell in maybe.items()),
    ]
