"""`precache cell ...`: the cells and the transport URLs of their message buses. Works directly on the database."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from precache.adapters.bus_oslo import bus_place
from precache.adapters.inventory_sql import SqlCells
from precache.cli.columns import Text
from precache.cli.command import Columns, Command, ListCommand
from precache.cli.errors import UsageError
from precache.config.load import Config, load_config
from precache.core.cells import Cell
from precache.core.errors import InvalidConfiguration
from precache.core.names import NAME_RULE, is_name
from precache.wiring.commands.options import add_config_file
from precache.wiring.databases import current_database

FROM_INPUT = "-"


class _OnCells(Command):
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="name of the cell")
        add_config_file(parser)


class CellCreate(_OnCells):
    """Add a cell: its name, and the message bus of its hosts.

    The URL is stored encrypted, see `precache config key`. Running conductors use it within seconds.

    Examples:
      precache cell create cell1 --transport-url rabbit://precache:PASSWORD@rabbit1:5672/cell1
      precache cell create cell1 --transport-url - < file-with-the-url
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        _add_transport_url(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        if not is_name(parsed_args.name):
            raise UsageError(f"{parsed_args.name!r} cannot be a cell's name, which is of {NAME_RULE}")
        config = load_config(parsed_args.config_file)
        url = _transport_url(config, parsed_args.transport_url)
        with _cells(config) as cells:
            cells.create_cell(Cell(parsed_args.name, url))
        self.print_message(f"Cell {parsed_args.name} is on {bus_place(config.oslo, url)}.")


class CellSet(_OnCells):
    """Change the message bus of a cell.

    Running conductors use it within seconds. The URL is encrypted with the first configured key, so this command also
    changes the key of a URL.

    Example:
      precache cell set cell1 --transport-url rabbit://precache:PASSWORD@rabbit2:5672/cell1
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        super().add_arguments(parser)
        _add_transport_url(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        config = load_config(parsed_args.config_file)
        url = _transport_url(config, parsed_args.transport_url)
        with _cells(config) as cells:
            cells.set_transport_url(parsed_args.name, url)
        self.print_message(f"Cell {parsed_args.name} is on {bus_place(config.oslo, url)}.")


class CellDelete(_OnCells):
    """Delete a cell with its hosts.

    First stop the computes of the cell and remove its hosts from aggregates. The cell can be deleted when all of its
    hosts have been silent for [DEFAULT] service_down_time. Jobs keep the names of the cell and its hosts.

    Example:
      precache cell delete cell1
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        config = load_config(parsed_args.config_file)
        with _cells(config) as cells:
            count = cells.delete_cell(parsed_args.name, config.host.service_down_time)
        hosts = f" with {count} host{'' if count == 1 else 's'}" if count else ""
        self.print_message(f"Cell {parsed_args.name} is deleted{hosts}.")


class CellList(ListCommand):
    """List the cells with their message buses, without users and passwords.

    Example:
      precache cell list
    """

    columns = ("name", "bus")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_config_file(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        config = load_config(parsed_args.config_file)
        with _cells(config) as cells:
            found = cells.list_cells()
        return self.columns, [(Text(cell.name), Text(_place(config, cell))) for cell in found]


def _add_transport_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--transport-url",
        metavar="URL",
        required=True,
        help=f"of the message bus, as oslo.messaging has them; {FROM_INPUT} reads it from standard input, where no "
        "other user of this machine sees it",
    )


def _transport_url(config: Config, given: str) -> str:
    """Return the URL. Raises InvalidConfiguration, which does not quote the URL, if it can never work."""
    url = sys.stdin.readline().strip() if given == FROM_INPUT else given
    if not url:
        raise InvalidConfiguration("--transport-url is empty; give rabbit://USER:PASSWORD@HOST:PORT/VIRTUAL-HOST")
    bus_place(config.oslo, url)
    return url


@contextmanager
def _cells(config: Config) -> Iterator[SqlCells]:
    keys, owns_aggregates = config.database.encryption_keys, not config.inventory.is_from_nova
    with closing(current_database(config)) as database:
        yield SqlCells(database=database, keys=keys, owns_aggregates=owns_aggregates)


def _place(config: Config, cell: Cell) -> str:
    return bus_place(config.oslo, cell.transport_url) if cell.transport_url else ""
