"""`precache token ...`: the tokens of a service without Keystone. Works directly on the database."""

from __future__ import annotations

import argparse
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from precache.adapters.clock_system import SystemClock
from precache.adapters.tokens_sql import SqlTokens
from precache.cli.columns import Text, Timestamp
from precache.cli.command import Columns, Command, ListCommand, ShowCommand
from precache.cli.errors import UsageError
from precache.config.load import load_config
from precache.core.names import NAME_RULE, is_name
from precache.core.tokens import SECRET_BYTES, SECRET_PREFIX, Token, TokenRole, digest_of
from precache.wiring.commands.options import add_config_file
from precache.wiring.databases import current_database

_DURATION = re.compile(r"([1-9][0-9]{0,8})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class TokenCreate(ShowCommand):
    """Create a token and print it. It is shown only once, because only its SHA-256 is stored.

    Roles: admin may do everything, reader may read everything, compute may read images only.
    Servers with [api] auth_strategy = token accept it within seconds.

    Examples:
      precache token create operator --role admin --expires 90d
      precache token create cmp-1 --role compute -f value -c token
    """

    columns = ("name", "roles", "expires_at", "token")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="name of the token; it appears as the user in jobs and logs")
        parser.add_argument(
            "--role",
            action="append",
            required=True,
            choices=[role.value for role in TokenRole],
            help="role of the token; may be given several times",
        )
        parser.add_argument(
            "--expires",
            metavar="WHEN",
            help="when it expires: after a duration such as 90d, 12h or 30m, or at a time such as "
            "2027-01-31T12:00:00Z (default: never)",
        )
        add_config_file(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        if not is_name(parsed_args.name):
            raise UsageError(f"{parsed_args.name!r} cannot be a token's name, which is of {NAME_RULE}")
        now = SystemClock().now()
        expires_at = None if parsed_args.expires is None else parse_expiry(parsed_args.expires, now)
        secret = SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        token = Token(
            name=parsed_args.name,
            roles=tuple(role for role in TokenRole if role in parsed_args.role),
            digest=digest_of(secret),
            created_at=now,
            expires_at=expires_at,
        )
        with _tokens(parsed_args.config_file) as tokens:
            tokens.create_token(token)
        return self.columns, (token.name, ",".join(token.roles), Timestamp(_written(expires_at)), secret)


class TokenList(ListCommand):
    """List the tokens with their roles, also expired ones until they are revoked. Secrets are not stored or shown.

    Example:
      precache token list
    """

    columns = ("name", "roles", "state", "created_at", "expires_at")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_config_file(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        now = SystemClock().now()
        with _tokens(parsed_args.config_file) as tokens:
            found = tokens.list_tokens()
        return self.columns, [_row(token, now) for token in found]


class TokenRevoke(Command):
    """Revoke tokens: within seconds all servers refuse them.

    Example:
      precache token revoke cmp-1
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("names", metavar="name", nargs="+", help="name of the token")
        add_config_file(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        with _tokens(parsed_args.config_file) as tokens:
            return self.for_each(parsed_args.names, tokens.revoke_token)


def parse_expiry(text: str, now: datetime) -> datetime:
    """Return the time of `--expires`: a duration from now, or an ISO 8601 time, which is UTC if it has no zone.

    Raises UsageError for all other text, and for a time in the past.
    """
    if match := _DURATION.fullmatch(text):
        try:
            return now + timedelta(**{_UNITS[match[2]]: int(match[1])})
        except OverflowError:
            raise UsageError(
                f"--expires {text} is too far in the future; leave it out for a token without end"
            ) from None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--expires {text!r} is neither a duration such as 90d, 12h or 30m nor a time such as 2027-01-31T12:00:00Z"
        ) from None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    if instant <= now:
        raise UsageError(f"--expires {text} is in the past; give a time in the future")
    return instant


def _row(token: Token, now: datetime) -> tuple[Any, ...]:
    state = "expired" if token.is_expired(now) else "valid"
    roles = Text(",".join(token.roles))
    return Text(token.name), roles, state, Timestamp(_written(token.created_at)), Timestamp(_written(token.expires_at))


def _written(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat()


@contextmanager
def _tokens(files: list[Path] | None) -> Iterator[SqlTokens]:
    with closing(current_database(load_config(files))) as database:
        yield SqlTokens(database=database)
