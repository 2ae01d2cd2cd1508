"""SQL: engine, tables, migrations. Only the SQL adapters of the ports use them.

The embedded service uses SQLite; statements and types work on PostgreSQL and MariaDB as well.
"""

from precache.adapters.sql.engine import Database, open_database
from precache.adapters.sql.limits import Limits
from precache.adapters.sql.probe import SqlProbe
from precache.adapters.sql.schema import check_schema, upgrade
from precache.adapters.sql.secrets import SecretBox

__all__ = ["Database", "Limits", "SecretBox", "SqlProbe", "check_schema", "open_database", "upgrade"]
