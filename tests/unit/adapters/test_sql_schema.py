"""Migrations lead from nothing to the tables that the code knows, and nowhere else."""

import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateTable

from precache.adapters.sql import check_schema, open_database, upgrade
from precache.adapters.sql.tables import metadata
from precache.core.errors import SchemaOutdated, SchemaTooNew


@pytest.fixture
def database(tmp_path):
    # A per cent sign in the path must reach neither the URL nor alembic's configuration as an escape.
    opened = open_database(f"sqlite:///{tmp_path}/100% new.sqlite")
    yield opened
    opened.close()


def test_migrating_an_empty_database_makes_exactly_the_tables_of_the_code(database):
    upgrade(database)

    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_migrated_tables_equal_those_of_the_code(database, tmp_path):
    upgrade(database)
    declared = open_database(f"sqlite:///{tmp_path}/declared.sqlite")
    with declared.write() as connection:
        metadata.create_all(connection)

    # Options of a table, such as AUTOINCREMENT, are not compared by alembic.
    assert table_definitions(database) == table_definitions(declared)
    declared.close()


def test_migrating_twice_is_harmless(database):
    upgrade(database)

    upgrade(database)

    check_schema(database)


def test_an_empty_database_is_refused_with_the_command_that_helps(database):
    with pytest.raises(SchemaOutdated, match=r"has no tables of Precache.*needs [0-9]{4}: run `precache db upgrade`"):
        check_schema(database)
    with pytest.raises(SchemaOutdated, match=r"run `another way`"):
        check_schema(database, upgrade_command="another way")


def test_a_schema_of_a_newer_release_is_neither_used_nor_touched(database):
    upgrade(database)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    for step in (check_schema, upgrade):
        with pytest.raises(SchemaTooNew, match="9999"):
            step(database)


def test_a_migration_that_fails_leaves_nothing_behind(database):
    with database.write() as connection:
        connection.execute(text("CREATE TABLE tasks (in_the_way INTEGER)"))

    with pytest.raises(Exception, match="tasks"):
        upgrade(database)

    with database.read() as connection:
        assert inspect(connection).get_table_names() == ["tasks"]


@pytest.mark.parametrize("dialect", [mysql.dialect(), postgresql.dialect()], ids=["mysql", "postgresql"])
def test_every_table_can_be_said_to_the_databases_to_come(dialect):
    statements = "".join(str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables)

    if dialect.name == "mysql":
        assert statements.count("DATETIME(6)") == statements.count("DATETIME") > 5
        assert statements.count("utf8mb4_bin") == len(metadata.tables)


def test_an_index_name_fits_every_database():
    names = [part.name for table in metadata.tables.values() for part in (*table.constraints, *table.indexes)]

    assert all(len(str(name)) <= 63 for name in names)


def table_definitions(database):
    with sqlite3.connect(database.engine.url.database) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic%'").fetchall()
    # A column that a later migration added stands behind the constraints: the same words in another order.
    return {name: sorted((sql or "").replace(",", " ").replace(")", " )").split()) for name, sql in rows}
