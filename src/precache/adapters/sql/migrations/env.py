"""Alembic runs this file for every command; `precache.adapters.sql.schema` passes a connection in a transaction.

To draft a revision: alembic -c src/precache/adapters/sql/migrations/alembic.ini -x url=sqlite:///FILE revision
--autogenerate -m "what it does".
"""

from alembic import context
from sqlalchemy import Connection

from precache.adapters.sql.engine import open_database
from precache.adapters.sql.tables import metadata


def run(connection: Connection) -> None:
    """Run the command on the connection's own transaction; `render_as_batch` because SQLite cannot alter columns."""
    context.configure(connection=connection, target_metadata=metadata, compare_type=True, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with open_database(context.get_x_argument(as_dictionary=True)["url"]).write() as own:
        run(own)
