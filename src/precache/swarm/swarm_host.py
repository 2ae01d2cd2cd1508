"""What all relays of one host use."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from precache.core.errors import NoCertificate
from precache.core.images import ImageId
from precache.core.relays import Form, JoinRequest
from precache.fetch.attempt_runner import POLL_SECONDS
from precache.fetch.fetcher import Fetcher
from precache.fetch.rate_limits import RateLimits
from precache.imagecache.bases import CloneFile, reflink
from precache.ports.clock import Clock
from precache.ports.swarm_planner import SwarmPlanner
from precache.ports.swarm_trust import SwarmTrust
from precache.swarm.host_pieces import OpenFile
from precache.swarm.offers import Serving
from precache.swarm.parent_stream import PiecesReceiver
from precache.swarm.relay_file import RelayFile

CERTIFICATE_WAIT_S = 60.0
"""How long an image waits for a certificate. A host gets its first one some seconds after its start."""


class PiecesOffers(Protocol):
    """Serves files to other hosts."""

    def offer(self, relay: str, file: RelayFile) -> None:
        """Serve this file of the relay, in place of an earlier one."""
        ...

    def withdraw(self, relay: str) -> None:
        """End what is sent of the relay, and serve it no more; harmless if it is not offered."""
        ...

    def serving(self, relay: str) -> Serving:
        """Return which hosts receive the relay now, and how much was sent; harmless if it is not offered."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmHost:
    """What all relays of one host use. Each part is used from several threads.

    address: returns where other hosts reach the server, such as `192.0.2.7:8785`. fetcher: of the image service.
    rates: the limits of the tasks. open_file: opens the file for pieces; tests pass one that acts as a full disk.
    clone: clones an older image.
    share: returns a random number from 0 to 1, by which waits differ. monotonic: a clock, in
    seconds. nap: waits so many seconds.
    """

    name: str
    cell: str
    address: Callable[[], str]
    fetcher: Fetcher
    planner: SwarmPlanner
    trust: SwarmTrust
    server: PiecesOffers
    client: PiecesReceiver
    clock: Clock
    rates: RateLimits
    open_file: OpenFile = RelayFile
    clone: CloneFile = reflink
    share: Callable[[], float] = random.random
    monotonic: Callable[[], float] = time.monotonic
    nap: Callable[[float], object] = time.sleep

    def wait_for_certificate(self, note_wait: Callable[[float], object]) -> None:
        """Wait until this host has a certificate, without which it can check nothing that the conductors have signed.

        note_wait: called some ten times a second with the seconds since its last call; what it raises ends the wait.
        Raises NoCertificate after a minute.
        """
        began_s = before_s = self.monotonic()
        while not self.trust.is_certified:
            self.trust.ask_for_certificate()
            if before_s - began_s >= CERTIFICATE_WAIT_S:
                raise NoCertificate(self.name, self.trust.why_uncertified)
            self.nap(POLL_SECONDS)
            now_s = self.monotonic()
            note_wait(now_s - before_s)
            before_s = now_s

    def join_request(self, image: ImageId, form: Form, job_id: str, have_bytes: int) -> JoinRequest:
        """Return the request for a place in the relay of the image, for a task of this job."""
        return JoinRequest(
            host=self.name,
            cell=self.cell,
            job_id=job_id,
            image=image,
            form=form,
            address=self.address(),
            key=self.trust.public_key,
            have_bytes=have_bytes,
        )
