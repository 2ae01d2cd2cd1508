"""The ports of `ports/inventory.py`, `ports/cache_inventory.py` and `ports/cells.py` on SQL."""

from precache.adapters.inventory_sql.aggregates import SqlAggregateQueries
from precache.adapters.inventory_sql.cache_queries import SqlCacheQueries
from precache.adapters.inventory_sql.cache_reports import SqlCacheReports
from precache.adapters.inventory_sql.cells import SqlCells
from precache.adapters.inventory_sql.changes import SqlAggregateChanges
from precache.adapters.inventory_sql.hosts import SqlHosts
from precache.adapters.inventory_sql.image_statuses import SqlImageStatuses
from precache.adapters.inventory_sql.removal import SqlHostRemoval

__all__ = [
    "SqlAggregateChanges",
    "SqlAggregateQueries",
    "SqlCacheQueries",
    "SqlCacheReports",
    "SqlCells",
    "SqlHostRemoval",
    "SqlHosts",
    "SqlImageStatuses",
]
