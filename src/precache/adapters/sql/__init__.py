"""The home of SQL: engine, tables, migrations. The SQL adapters of the ports stand on these and nothing else does.

SQLite for the embedded service; statements and types are chosen so that PostgreSQL and MariaDB need no others.
"""

from precache.adapters.sql.engine import Database, open_database
from precache.adapters.sql.limits import Limits
from precache.adapters.sql.probe import SqlProbe
from precache.adapters.sql.schema import check_schema, upgrade
from precache.adapters.sql.secrets import SecretBox

__all__ = ["Database", "Limits", "SecretBox", "SqlProbe", "check_schema", "open_database", "upgrade"]
