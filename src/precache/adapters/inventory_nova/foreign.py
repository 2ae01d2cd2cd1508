"""Refuses changes of an inventory that Nova owns, with the name of the service where they must be made."""

from __future__ import annotations

from typing import NoReturn

from precache.core.errors import InventoryForeign


class ForeignInventory:
    """The ports `AggregateChanges` and `HostChanges`, every method of which raises InventoryForeign."""

    def __init__(self, *, owner: str) -> None:
        self._owner = owner

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise InventoryForeign(self._owner)

    create_aggregate = rename_aggregate = set_metadata = delete_aggregate = _refuse
    add_host = remove_host = set_forced_down = _refuse
