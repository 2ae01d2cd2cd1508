"""Authentication of callers, by Keystone or by Precache's own tokens, which need TLS; and the policy file."""

from __future__ import annotations

import os
from collections.abc import Iterator

from precache.adapters.clock_system import SystemClock
from precache.adapters.tokens_sql import SqlTokens
from precache.config.images import check_token_endpoints
from precache.config.load import Config
from precache.core.tokens import TokenRole
from precache.doctor.database import on_database, opened
from precache.doctor.findings import Finding, failed, ok, skipped, warning
from precache.doctor.keystone import check_authtoken
from precache.rules.listen_address import check_tokens, parse_listen_address
from precache.wiring.http.tls import ServerTls


def check_callers(config: Config) -> Iterator[Finding]:
    """Check what the API's auth_strategy needs."""
    if config.api.auth_strategy != "token":
        yield from check_authtoken(config)
        return
    # As the API does at its start; each raises InvalidConfiguration with what to do.
    if config.api.tls_files:
        ServerTls(cert_file=config.api.tls_files[0], key_file=config.api.tls_files[1])
    check_tokens(parse_listen_address(config.api.listen), has_tls=config.api.tls_files is not None)
    check_token_endpoints(config.glance.endpoints, "[api] auth_strategy = token")
    yield from on_database(_check_tokens)(config)


def _check_tokens(config: Config) -> Iterator[Finding]:
    now = SystemClock().now()
    with opened(config) as database:
        tokens = SqlTokens(database=database).list_tokens()
    valid = [token for token in tokens if not token.is_expired(now)]
    if not any(TokenRole.ADMIN in token.roles for token in valid):
        yield warning(
            "no valid token has the role admin: no caller can start a job",
            "make one: precache token create NAME --role admin",
        )
        return
    yield ok(f"{len(valid)} tokens are valid, {len(tokens) - len(valid)} have expired")


def check_policy(config: Config) -> Iterator[Finding]:
    file = config.policy.policy_file
    if file is None:
        yield skipped(
            "[oslo_policy] policy_file is not set: administrators may do everything; the role precache_reader, and the "
            "role reader on the whole system, may read everything"
        )
    elif not os.access(file, os.R_OK):
        yield failed(f"the policy file {file} cannot be read", "make it readable for the API, or correct the option")
    else:
        yield ok(f"the policy file {file} can be read")
