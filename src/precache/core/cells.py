"""Cells: the sets of hosts that share one message bus."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell and its bus.

    transport_url: oslo.messaging's URL with its password, which must never be shown; None for a cell without a bus (the
    embedded service calls its computes directly).
    """

    name: str
    transport_url: str | None = field(default=None, repr=False)
