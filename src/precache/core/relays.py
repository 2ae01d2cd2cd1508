"""Relays: one image on its way through the hosts of one site.

One host fetches the image from the image service and converts it: the seeder. The others form a chain behind it: each
receives the pieces from its parent while these arrive there, checks each, and passes them on to its child.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from precache.core.images import ImageId

PIECE_BYTES = 64 << 10
"""The unit that is hashed, checked and passed on, as in the digest `tree-sha256`."""


class Form(StrEnum):
    """What the hosts of a relay keep: different forms of an image are different files."""

    RAW = "raw"
    AS_IS = "as-is"
    """As the image service has it."""


@dataclass(frozen=True, slots=True)
class RelayKey:
    """There is one relay for each key, whichever jobs and conductors ask for it."""

    cell: str
    site: str
    image: ImageId
    form: Form


class Source(StrEnum):
    """From where a host is to get the image."""

    IMAGE_SERVICE = "image_service"
    HOST = "host"
    WAIT = "wait"
    """From nowhere yet: it asks again."""


class MemberState(StrEnum):
    ACTIVE = "active"
    """It waits, fetches or receives."""
    COMPLETE = "complete"
    """It has every piece, and serves them."""
    LEFT = "left"
    """It was stopped, has failed, or does not answer any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayMember:
    """One host of a relay.

    address: where it serves pieces, such as `192.0.2.7:8785`; empty if it serves none. key: its public key, with which
        it signs hashes if it is a seeder, in hexadecimal.
    site: in which it is. above: the sites from which its site may receive, the nearest first.
    source: from where it gets the image. parent: the host, if the source is a host.
    is_leaf: it was slow, and gets no child.
    have_bytes: of the file, that it has. offered_bytes: that its parent has, as it last reported both.
    rate_bytes_per_s: at which it last received; 0 while unknown. uplink_bytes_per_s: the best rate at which it fetched
        from the image service; 0 while unknown. link_bytes_per_s: the best rate at which it received from other hosts
        in earlier relays; 0 while unknown.
    best_bytes_per_s: the best rate at which it fetched in this relay, over some seconds; 0 while unknown.
    lost: hosts with which it had no success, the last one at the end; they do not become its parent again until they
        have joined again, or are forgiven. lost_at: when it last lost one. forgiven: how often others have forgotten
        that they had lost it. wrong: hosts that sent it a piece that does not agree with its hash. slow_with: hosts
        from which it received slower than they did.
    slow_since: when it first reported that it lags behind its parent, in the present series of such reports; and
        slow_have_bytes, slow_offered_bytes: what it and its parent had then.
    root: the digest of the whole file that it found, as a seeder; empty before.
    fault: what it found wrong with the image itself, when it had fetched it from the image service; empty before.
    version: of its assignment; grows with each change. assigned_at: when it last changed.
    waiting_since: since when it waits for a place, for the queue to the image service.
    """

    host: str
    address: str = ""
    key: str = ""
    site: str = ""
    above: tuple[str, ...] = ()
    state: MemberState = MemberState.ACTIVE
    source: Source = Source.WAIT
    parent: str = ""
    is_leaf: bool = False
    have_bytes: int = 0
    offered_bytes: int = 0
    rate_bytes_per_s: int = 0
    uplink_bytes_per_s: int = 0
    link_bytes_per_s: int = 0
    best_bytes_per_s: int = 0
    lost: tuple[str, ...] = ()
    lost_at: datetime | None = None
    forgiven: int = 0
    wrong: tuple[str, ...] = ()
    slow_with: tuple[str, ...] = ()
    slow_since: datetime | None = None
    slow_have_bytes: int = 0
    slow_offered_bytes: int = 0
    root: str = ""
    fault: str = ""
    version: int = 0
    assigned_at: datetime | None = None
    waiting_since: datetime | None = None
    joined_at: datetime | None = None
    reported_at: datetime | None = None

    @property
    def is_origin(self) -> bool:
        """Return whether it fetches, or has fetched, from the image service."""
        return self.source is Source.IMAGE_SERVICE


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The plan of a relay, and how far it has come.

    size_bytes: of the file that the hosts keep; 0 while unknown. root: its digest (`tree-sha256:...`), which enough
        seeders have found; empty before. attestations: how many must find the same.
    reason: why it has failed for good; empty if it has not.
    signers: the public keys, in hexadecimal, of all hosts that were sent to the image service, the first one first. One
        stays when its host has left: other hosts pass on the hashes that it signed.
    members: in the order in which they joined. A host that left stays until the relay is forgotten.
    """

    id: str
    key: RelayKey
    size_bytes: int = 0
    root: str = ""
    attestations: int = 1
    reason: str = ""
    signers: tuple[str, ...] = ()
    members: tuple[RelayMember, ...] = ()
    created_at: datetime | None = None

    def member(self, host: str) -> RelayMember | None:
        return next((member for member in self.members if member.host == host), None)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another host: its name, which its certificate shows, and where it serves pieces."""

    host: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What one host is to do in a relay now. One with a lower version than the last is out of date.

    source: parent is set if it is a host. spares: where to go, in this order, if the connection to the parent is lost,
        before the conductor has answered: its grandparent first.
    signers: the public keys of the seeders, in hexadecimal; hashes with another signature are refused.
    ticket: the signed permission to receive the image from hosts of the relay, to be shown to them; empty if there is
        no other host to ask.
    root: the signed statement of the digest of the whole file, without which nothing is published; empty before it is
        known. For hosts, both texts are opaque: `ports/swarm_trust.py` reads them.
    report_interval_s: between two regular reports. retry_after_s: after which a host that waits asks again.
    failed: why the relay has failed for good, and nothing may be published; empty if it has not.
    """

    relay: str
    host: str
    version: int
    source: Source
    parent: Peer | None = None
    spares: tuple[Peer, ...] = ()
    signers: tuple[str, ...] = ()
    ticket: str = ""
    root: str = ""
    report_interval_s: float = 2.0
    retry_after_s: float = 2.0
    failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """A host asks for its place in the relay of an image, because a task of this job asks the host for it.

    cell: of the host, as the receiver knows it; empty on the way.
    have_bytes: what it has of the file already, from an earlier attempt.
    """

    host: str
    cell: str
    job_id: str
    image: ImageId
    form: Form
    address: str
    key: str
    have_bytes: int = 0


class ReportKind(StrEnum):
    """Why a host reports. All but PROGRESS are sent at once; PROGRESS at the interval of its assignment."""

    PROGRESS = "progress"
    SLOW = "slow"
    """It lags behind what its parent offers."""
    LOST_PARENT = "lost_parent"
    """Its parent, and the spares that it could ask, do not answer, refuse, or send nothing."""
    WRONG_PIECE = "wrong_piece"
    """Its parent has sent a piece that does not agree with its hash."""
    COMPLETE = "complete"
    """It has every piece; a seeder has verified the image, and reports the root."""
    LEFT = "left"
    """It stops: its task was stopped or has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayReport:
    """How far a host is, and what is wrong.

    have_bytes, offered_bytes, rate_bytes_per_s: as of `RelayMember`. size_bytes: of the file; 0 while unknown.
    parent: the host of which this speaks; with a SLOW, LOST_PARENT or WRONG_PIECE the one concerned.
    lost: with LOST_PARENT, all hosts that were tried without success.
    root: with COMPLETE of a seeder, the digest of the whole file. reason: in words, with LEFT and LOST_PARENT.
    is_image_faulty: with LEFT, the reason is the image itself, which the host has fetched from the image service: every
        other host would find the same.
    version: of the assignment that it follows.
    cell: of the host, as the receiver knows it; empty on the way.
    """

    relay: str
    host: str
    kind: ReportKind
    version: int = 0
    have_bytes: int = 0
    offered_bytes: int = 0
    rate_bytes_per_s: int = 0
    size_bytes: int = 0
    parent: str = ""
    lost: tuple[str, ...] = field(default=())
    root: str = ""
    reason: str = ""
    is_image_faulty: bool = False
    cell: str = ""
