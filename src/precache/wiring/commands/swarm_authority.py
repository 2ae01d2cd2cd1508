"""`precache swarm authority ...`: the key that signs for hosts of swarms. Works directly on the database."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta

from precache.adapters.clock_system import SystemClock
from precache.adapters.swarm_authority import AuthorityKey, SqlAuthorityKeys, add_next, signing_key, still_trusted
from precache.cli.columns import Timestamp
from precache.cli.command import Columns, Command, ListCommand
from precache.config.load import Config, load_config
from precache.core.errors import InvalidConfiguration
from precache.wiring.commands.options import add_config_file
from precache.wiring.databases import current_database


class SwarmAuthorityShow(ListCommand):
    """List the keys that sign certificates of hosts: usually one, or two while it is being renewed.

    There is none before the first host of a swarm has asked for its certificate. `precache serve all` stores none: it
    makes one at each start.

    Example:
      precache swarm authority show
    """

    columns = ("key", "state", "signs_from", "ends_at")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_config_file(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        config = load_config(parsed_args.config_file)
        with _keys(config) as keys:
            found = keys.list_keys()
        return self.columns, _rows(found, SystemClock().now(), _lifetime(config))


class SwarmAuthorityRenew(Command):
    """Make a new key, without an interruption: it signs when all hosts know it, after [swarm] certificate_hours.

    The certificates of the old key stay valid until they end. A conductor does the same by itself in the last year of
    a key. Run it again with --at-once if the key was stolen or cannot be decrypted any more.

    Examples:
      precache swarm authority renew
      precache swarm authority renew --at-once
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--at-once",
            action="store_true",
            help="the conductors sign with it within a minute and forget the others: hosts refuse each other, and get "
            "images from the image service, until each has renewed its certificate or was started again",
        )
        add_config_file(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        config, now = load_config(parsed_args.config_file), SystemClock().now()
        with _keys(config) as keys:
            if parsed_args.at_once:
                key = AuthorityKey.create(now=now)
                keys.replace_all(key)
                self.print_message(
                    f"Key {key.name} signs now; restart the computes, or wait half of certificate_hours."
                )
                return
            found = keys.list_keys()
            if not found:
                keys.add_first(AuthorityKey.create(now=now))
            elif found[-1].signs_from <= now:
                add_next(keys, found[-1], now, _lifetime(config))
            last = keys.list_keys()[-1]
        self.print_message(f"Key {last.name} signs from {last.signs_from:%Y-%m-%d %H:%M} UTC.")


class SwarmAuthorityEncrypt(Command):
    """Encrypt the keys again, with the first one of [database] encryption_keys.

    For a change of the encryption key, as `precache cell set` does it for the URL of a cell.

    Example:
      precache swarm authority encrypt
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_config_file(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        with _keys(load_config(parsed_args.config_file)) as keys:
            count = keys.encrypt_again()
        self.print_message(f"{count} key{' was' if count == 1 else 's were'} encrypted again.")


@contextmanager
def _keys(config: Config) -> Iterator[SqlAuthorityKeys]:
    if config.database.connection is None:
        raise InvalidConfiguration(
            "[database] connection is not set; give the configuration file of a controller. `precache serve all` "
            "stores no key: it makes one at each start"
        )
    with closing(current_database(config)) as database:
        yield SqlAuthorityKeys(database=database, keys=config.database.encryption_keys)


def _lifetime(config: Config) -> timedelta:
    return timedelta(hours=config.swarm.certificate_hours)


def _rows(keys: list[AuthorityKey], now: datetime, lifetime: timedelta) -> list[tuple[object, ...]]:
    trusted = still_trusted(keys, now, lifetime)
    signer = signing_key(trusted, now) if trusted else None

    def state(key: AuthorityKey) -> str:
        if key is signer:
            return "signs"
        if key.signs_from > now:
            return "will sign"
        return "trusted" if key in trusted else "replaced"

    return [
        (key.name, state(key), Timestamp(key.signs_from.isoformat()), Timestamp(key.ends_at.isoformat()))
        for key in keys
    ]
