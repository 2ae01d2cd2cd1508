"""`precache host ...`: the compute hosts."""

from __future__ import annotations

import argparse

from precache.cli.columns import Field, Fields, Text, Timestamp, cells, least_needed_first, plain
from precache.cli.command import Columns, Command, ListCommand, ShowCommand

HOST_FIELDS: Fields = {
    "name": Field(Text),
    "cell": Field(Text),
    "site": Field(Text, left_out=3),
    "state": Field(plain),
    "forced_down": Field(plain, left_out=1),
    "driver": Field(Text, left_out=4),
    "release": Field(Text),
    "rpc_version": Field(Text, left_out=2),
    "last_seen": Field(Timestamp, left_out=5),
}


class HostList(ListCommand):
    """List the compute hosts.

    Example:
      precache host list -f value -c name -c state
      precache host list --cell cell1 --state down
    """

    columns = tuple(HOST_FIELDS)
    least_needed = least_needed_first(HOST_FIELDS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--cell", metavar="CELL", help="only hosts of this cell")
        parser.add_argument("--state", choices=["up", "down"], help="only hosts in this state")
        parser.add_argument("--driver", metavar="DRIVER", help="only hosts with this virt driver")

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        found = self.service.hosts.every(cell=parsed_args.cell, state=parsed_args.state, driver=parsed_args.driver)
        return self.columns, [list(cells(HOST_FIELDS, host).values()) for host in found]


class HostSet(ShowCommand):
    """Force a host down, so that jobs skip it, or undo that.

    Example:
      precache host set cmp-7 --down
    """

    columns = tuple(HOST_FIELDS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="name of the host")
        wanted = parser.add_mutually_exclusive_group(required=True)
        wanted.add_argument("--down", action="store_true", dest="forced_down", help="jobs skip the host from now on")
        wanted.add_argument("--up", action="store_false", dest="forced_down", help="jobs include the host again")

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        host = self.service.hosts.force_down(parsed_args.name, parsed_args.forced_down)
        return self.columns, cells(HOST_FIELDS, host).values()


class HostDelete(Command):
    """Delete hosts that no longer exist.

    First stop the host's compute and remove the host from its aggregates. It can be deleted when it has been silent for
    the service's [DEFAULT] service_down_time. Jobs keep its name. If its compute starts again, the host is added again.

    Example:
      precache host delete cmp-7 cmp-8
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", metavar="name", nargs="+", help="name of the host")

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        return self.for_each(parsed_args.names, self.service.hosts.delete)
