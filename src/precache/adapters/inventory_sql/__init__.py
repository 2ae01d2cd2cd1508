"""The ports of `ports/inventory.py` and `ports/cells.py` on SQL."""

from precache.adapters.inventory_sql.aggregates import SqlAggregateQueries
from precache.adapters.inventory_sql.cells import SqlCells
from precache.adapters.inventory_sql.changes import SqlAggregateChanges
from precache.adapters.inventory_sql.hosts import SqlHosts
from precache.adapters.inventory_sql.removal import SqlHostRemoval

__all__ = ["SqlAggregateChanges", "SqlAggregateQueries", "SqlCells", "SqlHostRemoval", "SqlHosts"]
