"""`precache db upgrade`: brings a database to this release's schema."""

from __future__ import annotations

import argparse
from pathlib import Path

from precache.adapters.sql import open_database, upgrade
from precache.cli.command import Command
from precache.wiring.state_dir import StateDir


class DbUpgrade(Command):
    """Create the tables of a state directory's database, or bring them to this release.

    `precache serve all` does the same at its start; this is for doing it beforehand.

    Example:
      precache db upgrade --state-dir /var/lib/precache
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--state-dir", metavar="DIR", type=Path, required=True, help="the service's state directory"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        state = StateDir(parsed_args.state_dir)
        state.take()
        database = open_database(state.database_url)
        try:
            upgrade(database)
        finally:
            database.close()
            state.release()
        self.tell(f"The database in {state.root} is up to date.")
