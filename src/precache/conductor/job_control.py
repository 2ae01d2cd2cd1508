"""What a running job is told from outside: to stop, or that an operator has changed it."""

from __future__ import annotations

from precache.background.cancel_token import CancelToken


class JobControl:
    """One for each run of a job. Thread-safe.

    stop: cancelled when the process is to stop or the lease is lost; another conductor then continues the job.
    work: its child, cancelled also when the job is to stop: by an operator, by the clock, or because a canary failed.
    revision: of the job's options and orders, as last seen in the store.
    """

    def __init__(self, stop: CancelToken, work: CancelToken | None = None, *, revision: int = 0) -> None:
        self.stop = stop
        self.work = work or stop.child()
        self.revision = revision
