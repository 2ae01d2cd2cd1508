"""Permits to call hosts: how conductors keep limits together. A host of a job is called only with a permit.

Errors: StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from precache.core.host_calls import HostCall, JobCalls
from precache.core.jobs import Claim


class CallPermits(Protocol):
    def exchange(self, jobs: Sequence[JobCalls]) -> Mapping[Claim, Sequence[HostCall]]:
        """Store the permits that the jobs hold and want; return for each claim that is held its new ones.

        One transaction, after all earlier ones of other conductors. New permits are given by `rules/call_shares.py`,
        so that no limit is exceeded by all conductors together. The caller returns a permit by leaving its host out of
        `held` the next time. It names all its jobs each time, and each one once more after its last call has ended.

        A job that was taken over gets the permits of the earlier claim, also beyond the limits: these hosts may still
        be at work. If a claim is not held any more, nothing is given for it, and permits can only be returned.
        Permits of a conductor that has died count until its job is taken over, at most as long as a call may take.
        What a job wants counts only while its lease is held and its conductor continues to call this method. It may be
        called again after an error: the caller holds only the permits that it knows of.
        """
        ...
