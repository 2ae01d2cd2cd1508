"""`precache db upgrade`: brings a database to this release's schema."""

from __future__ import annotations

import argparse
from pathlib import Path

from precache.adapters.sql import open_database, upgrade
from precache.cli.command import Command
from precache.config.load import load_config
from precache.wiring.commands.options import add_config_file
from precache.wiring.databases import configured_database
from precache.wiring.state_dir import StateDir


class DbUpgrade(Command):
    """Create the tables of a database, or bring them to this release.

    The database is the one of [database] connection in the configuration file, or that of a state directory;
    `precache serve all` does it for its own at every start.

    Examples:
      precache db upgrade
      precache db upgrade --config-file /etc/precache/precache.conf
      precache db upgrade --state-dir /var/lib/precache
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--state-dir", metavar="DIR", type=Path, help="state directory of the embedded service")
        add_config_file(which)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        if parsed_args.state_dir is None:
            place = _upgrade_configured(parsed_args.config_file)
        else:
            place = _upgrade_embedded(parsed_args.state_dir)
        self.tell(f"The database {place} is up to date.")


def _upgrade_configured(files: list[Path] | None) -> str:
    database = configured_database(load_config(files))
    try:
        upgrade(database)
    finally:
        database.close()
    return database.place


def _upgrade_embedded(root: Path) -> str:
    state = StateDir(root)
    state.take()
    database = open_database(state.database_url)
    try:
        upgrade(database)
    finally:
        database.close()
        state.release()
    return f"in {state.root}"
