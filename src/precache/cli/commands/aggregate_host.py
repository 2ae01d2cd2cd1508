"""`precache aggregate add host` and `remove host`."""

from __future__ import annotations

import argparse

from precache.cli.command import Columns, ShowCommand
from precache.cli.commands.aggregate import AGGREGATE_FIELDS, shown_aggregate


class _Membership(ShowCommand):
    columns = AGGREGATE_FIELDS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("aggregate", help="name or id")
        parser.add_argument("host", help="name of the compute host")
        return parser


class AggregateAddHost(_Membership):
    """Add a host to an aggregate.

    Example:
      precache aggregate add host web cmp-7
    """

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        aggregates = self.service.aggregates
        return shown_aggregate(aggregates.add_host(aggregates.find(parsed_args.aggregate)["id"], parsed_args.host))


class AggregateRemoveHost(_Membership):
    """Remove a host from an aggregate.

    Example:
      precache aggregate remove host web cmp-7
    """

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        aggregates = self.service.aggregates
        return shown_aggregate(aggregates.remove_host(aggregates.find(parsed_args.aggregate)["id"], parsed_args.host))
