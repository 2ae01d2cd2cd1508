"""`precache db ...`: upgrade the tables of a database, and remove old jobs."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from precache.adapters.jobs_sql import SqlJobPurge
from precache.adapters.sql import Database, check_schema, open_database, upgrade
from precache.cli.command import Command
from precache.config.load import load_config
from precache.core.errors import InvalidConfiguration
from precache.wiring.commands.options import add_config_file, given_path
from precache.wiring.databases import configured_database, current_database
from precache.wiring.state_dir import StateDir

PURGE_BATCH = 20
"""The most jobs in one transaction; of jobs with many tasks it takes fewer."""

MOST_DAYS = 36_500
"""A hundred years: not every database can store earlier times."""


class DbUpgrade(Command):
    """Create the tables of a database, or upgrade them to this release.

    The database is the one of [database] connection in the configuration file, or that of a state directory;
    `precache serve all` upgrades its own database at every start.

    Examples:
      precache db upgrade
      precache db upgrade --config-file /etc/precache/precache.conf
      precache db upgrade --state-dir /var/lib/precache
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        _add_database(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        if parsed_args.state_dir is None:
            place = _upgrade_configured(parsed_args.config_file)
        else:
            place = _upgrade_embedded(parsed_args.state_dir)
        self.print_message(f"The database {place} is up to date.")


class DbPurge(Command):
    """Remove jobs that ended long ago, with their tasks.

    A job that has not ended is never removed. Conductors and APIs may run meanwhile; `precache serve all` must
    be stopped for its own state directory. Removed jobs cannot be restored.

    Examples:
      precache db purge --older-than 90 --dry-run
      precache db purge --older-than 90
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        _add_database(parser)
        parser.add_argument(
            "--older-than",
            metavar="DAYS",
            type=_days,
            required=True,
            help=f"remove jobs that ended this number of days ago or earlier: a whole number from 1 to {MOST_DAYS}",
        )
        parser.add_argument("--dry-run", action="store_true", help="only print how many jobs would be removed")

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        days = parsed_args.older_than
        with _opened(parsed_args) as database:
            purge = SqlJobPurge(database=database)
            if parsed_args.dry_run:
                count = purge.count_ended(timedelta(days=days))
            else:
                count = sum(iter(lambda: purge.purge(timedelta(days=days), PURGE_BATCH), 0))
        would = "would be" if parsed_args.dry_run else "were" if count != 1 else "was"
        self.print_message(f"{count} job{'' if count == 1 else 's'} that ended {_ago(days)} {would} removed.")


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_DAYS and len(text) < 9):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_DAYS}")
    return int(text)


def _ago(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'} ago or earlier"


def _add_database(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--state-dir", metavar="DIR", type=given_path, help="state directory of the embedded service")
    add_config_file(which)


@contextmanager
def _opened(parsed_args: argparse.Namespace) -> Iterator[Database]:
    """Return the database that the command line names. Raises what `current_database` and `StateDir.take` raise."""
    if parsed_args.state_dir is None:
        with closing(current_database(load_config(parsed_args.config_file))) as database:
            yield database
        return
    state = StateDir(parsed_args.state_dir)
    if not state.root.is_dir():
        raise InvalidConfiguration(f"--state-dir: {state.root} is not a directory; give that of `precache serve all`")
    with _embedded(state) as database:
        check_schema(database, upgrade_command=f"precache db upgrade --state-dir {shlex.quote(str(state.root))}")
        yield database


@contextmanager
def _embedded(state: StateDir) -> Iterator[Database]:
    """Lock the state directory and return its database. Raises StateDirUnusable."""
    state.take()
    try:
        with closing(open_database(state.database_url)) as database:
            yield database
    finally:
        state.release()


def _upgrade_configured(files: list[Path] | None) -> str:
    with closing(configured_database(load_config(files))) as database:
        upgrade(database)
    return database.place


def _upgrade_embedded(root: Path) -> str:
    state = StateDir(root)
    with _embedded(state) as database:
        upgrade(database)
    return f"in {state.root}"
