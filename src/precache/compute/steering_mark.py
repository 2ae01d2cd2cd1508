"""The moment at which a job was steered on this host: which requests came before it."""

from __future__ import annotations

from dataclasses import dataclass

from precache.ports.compute_gateway import CallNumber, ImagesRequest


@dataclass(frozen=True, slots=True)
class SteeringMark:
    """call: of the message that steers the job; None if a request was marked. arrival: of the message on this host."""

    call: CallNumber | None
    arrival: int

    def is_after(self, request: ImagesRequest) -> bool:
        """Return whether the request had arrived, or had been made by the same sender, before the job was steered.

        After a takeover the sender is another conductor than that of the request, which is still being worked on.
        """
        if request.arrival < self.arrival:
            return True
        return self.call is not None and request.call is not None and request.call.precedes(self.call)
