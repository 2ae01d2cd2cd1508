"""`precache aggregate ...`: the named sets of hosts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from precache.cli.client import JsonObject
from precache.cli.columns import AllNames, Field, Fields, Names, Properties, Text, Timestamp, cells, plain
from precache.cli.command import Columns, Command, ListCommand, ShowCommand
from precache.cli.errors import UsageError
from precache.core.errors import PrecacheError

_FIELDS: Fields = {
    "id": Field(plain),
    "uuid": Field(plain),
    "name": Field(Text),
    "availability_zone": Field(Text),
    "hosts": Field(lambda hosts: AllNames(hosts or [])),
    "metadata": Field(lambda metadata: Properties(metadata or {})),
    "created_at": Field(Timestamp),
    "updated_at": Field(Timestamp),
}
_IN_LIST: Fields = {
    **{name: _FIELDS[name] for name in ("id", "name", "availability_zone")},
    "hosts": Field(lambda hosts: Names(hosts or [])),
    "metadata": _FIELDS["metadata"],
}


def _properties(pairs: Sequence[str]) -> dict[str, str]:
    properties: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"--property takes KEY=VALUE, not {pair!r}")
        properties[key] = value
    return properties


def _add_property_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--property", metavar="KEY=VALUE", action="append", default=[], help="set this metadata (may be repeated)"
    )


class AggregateList(ListCommand):
    """List the aggregates.

    Example:
      precache aggregate list
      precache aggregate list -f json
    """

    columns = tuple(_IN_LIST)
    least_needed = ("metadata", "availability_zone")

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        return self.columns, [list(cells(_IN_LIST, found).values()) for found in self.service.aggregates.every()]


class AggregateShow(ShowCommand):
    """Show one aggregate, by name or id.

    Example:
      precache aggregate show web
    """

    columns = tuple(_FIELDS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("aggregate", help="name or id")

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        return self.columns, cells(_FIELDS, self.service.aggregates.find(parsed_args.aggregate)).values()


class AggregateCreate(ShowCommand):
    """Create an aggregate.

    Example:
      precache aggregate create web --zone az1 --property rack=7
    """

    columns = tuple(_FIELDS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="the new aggregate's name")
        parser.add_argument("--zone", metavar="ZONE", help="its availability zone")
        _add_property_option(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        properties = _properties(parsed_args.property)
        created = self.service.aggregates.create(parsed_args.name, parsed_args.zone)
        if properties:
            created = self._with_metadata(created["id"], properties)
        return self.columns, cells(_FIELDS, created).values()

    def _with_metadata(self, aggregate_id: int, properties: dict[str, str]) -> JsonObject:
        """Set the metadata, for which Nova's API has a separate request; if that fails, delete the new aggregate."""
        try:
            return self.service.aggregates.set_metadata(aggregate_id, properties)
        except PrecacheError:
            self.service.aggregates.delete(aggregate_id)
            raise


class AggregateSet(ShowCommand):
    """Change an aggregate's name, zone or metadata.

    Example:
      precache aggregate set web --name web-old --property retired=yes
    """

    columns = tuple(_FIELDS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("aggregate", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="the new name")
        parser.add_argument("--zone", metavar="ZONE", help="the new availability zone")
        _add_property_option(parser)
        parser.add_argument(
            "--unset", metavar="KEY", action="append", default=[], help="remove this metadata (may be repeated)"
        )

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        wanted = {"name": parsed_args.name, "availability_zone": parsed_args.zone}
        fields = {key: value for key, value in wanted.items() if value is not None}
        metadata: dict[str, str | None] = {**_properties(parsed_args.property), **dict.fromkeys(parsed_args.unset)}
        if not fields and not metadata:
            raise UsageError("There is nothing to change: give --name, --zone, --property or --unset")
        if both := sorted(_properties(parsed_args.property).keys() & set(parsed_args.unset)):
            raise UsageError(f"--property and --unset contradict each other: {', '.join(both)}; leave one out")
        aggregate = self.service.aggregates.find(parsed_args.aggregate)
        if fields:
            aggregate = self.service.aggregates.update(aggregate["id"], fields)
        if metadata:
            aggregate = self.service.aggregates.set_metadata(aggregate["id"], metadata)
        return self.columns, cells(_FIELDS, aggregate).values()


class AggregateDelete(Command):
    """Delete aggregates, by name or id; they must have no hosts.

    Example:
      precache aggregate delete web-old
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("aggregates", metavar="aggregate", nargs="+", help="name or id")

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        aggregates = self.service.aggregates
        return self.for_each(parsed_args.aggregates, lambda name: aggregates.delete(aggregates.find(name)["id"]))
