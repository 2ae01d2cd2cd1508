"""The target of a job: the aggregates, cells and hosts that the request names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The hosts of these aggregates and cells, and these hosts, without the excluded ones. All fields are names.

    It is stored as requested. The hosts of a job are those of its target at the time of the request.
    """

    aggregates: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    exclude_hosts: tuple[str, ...] = ()

    @classmethod
    def read(cls, document: Mapping[str, Sequence[str]]) -> Target:
        """Return the target in the document, each name once; ignore its other fields."""
        return cls(**{part.name: tuple(dict.fromkeys(document.get(part.name, ()))) for part in fields(cls)})

    def document(self) -> dict[str, list[str]]:
        return {part.name: list(getattr(self, part.name)) for part in fields(self)}

    @property
    def is_one_aggregate(self) -> bool:
        return len(self.aggregates) == 1 and not (self.cells or self.hosts or self.exclude_hosts)

    @property
    def is_one_host(self) -> bool:
        return len(self.hosts) == 1 and not (self.aggregates or self.cells or self.exclude_hosts)


NO_TARGET = Target()
