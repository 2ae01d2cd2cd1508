"""Errors of transfers from host to host."""

from __future__ import annotations

from precache.core.errors.tree import Corrupt, Refused, Unavailable


class ConductorUnreachable(Unavailable):
    """No conductor has answered a host in time."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"No conductor answered: {reason}", "check that a conductor listens on the bus of this cell")
        self.reason = reason


class RelayRefused(Refused):
    """A host may not take part in the relay of an image, or gets no certificate."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(f"Host {host} may not take part in the swarm: {reason}")
        self.host, self.reason = host, reason


class NoCertificate(Unavailable):
    """A host cannot take part in a swarm, because no conductor has given it a certificate in time."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(
            f"Host {host} cannot get images from other hosts: this host has no certificate yet: {reason}",
            "correct that, or set [swarm] transfer = direct, and retry the job",
        )
        self.host, self.reason = host, reason


class ClockWrong(RelayRefused):
    """The clock of a host differs so much from the conductor's that others would refuse the host's certificate.

    ahead_s: of the host's clock; negative if it is behind.
    """

    def __init__(self, host: str, ahead_s: float) -> None:
        direction = "ahead of" if ahead_s > 0 else "behind"
        super().__init__(
            host,
            f"its clock is {abs(ahead_s):.0f} seconds {direction} the conductor's; set the clocks of both, for "
            "example with chrony",
        )
        self.ahead_s = ahead_s


class RelayFailed(Corrupt):
    """The hosts of a site do not agree on what an image contains, so that none of them publishes it."""

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"Image {image} was not passed on in this site: {reason}")
        self.image, self.reason = image, reason


class PieceRefused(Corrupt):
    """A piece of a file, its hash, or the root of the file cannot be accepted."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"Piece {index} was refused: {reason}")
        self.index, self.reason = index, reason


class HashesDiffer(PieceRefused):
    """A hash, or the size of the file, contradicts what was accepted before: one of both is of another file."""


class WrongPiece(Corrupt):
    """Another host has sent a piece, a hash or a root that cannot be accepted.

    is_contradiction: a hash contradicts earlier ones, and those may be wrong.
    """

    def __init__(self, peer: str, index: int, reason: str, *, is_contradiction: bool = False) -> None:
        super().__init__(f"Host {peer} has sent a wrong piece {index}: {reason}", "verify the image on that host")
        self.peer, self.index, self.reason = peer, index, reason
        self.is_contradiction = is_contradiction


class PeerLost(Unavailable):
    """Another host does not answer, refuses, or has stopped sending.

    is_silent: it was waited for in vain, so that to ask it again would be another wait.
    """

    def __init__(self, peer: str, reason: str, *, is_silent: bool = False) -> None:
        super().__init__(f"Host {peer} sends no pieces: {reason}")
        self.peer, self.reason, self.is_silent = peer, reason, is_silent


class PortsUnusable(Unavailable):
    """A host cannot listen for other hosts."""

    def __init__(self, address: str, ports: tuple[int, int], reason: str) -> None:
        super().__init__(
            f"No port from {ports[0]} to {ports[1]} of {address} can be used for pieces of images: {reason}",
            "choose others in [swarm] ports and listen_address, and open them in the firewall",
        )
