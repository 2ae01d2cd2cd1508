"""The policy file, where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator

from precache.config.load import Config
from precache.doctor.findings import Finding, failed, ok, skipped


def look_at_policy(config: Config) -> Iterator[Finding]:
    file = config.policy.policy_file
    if file is None:
        yield skipped(
            "[oslo_policy] policy_file is not set: administrators may do everything; the role precache_reader, and the "
            "role reader on the whole system, may look"
        )
    elif not os.access(file, os.R_OK):
        yield failed(f"the policy file {file} cannot be read", "make it readable for the API, or correct the option")
    else:
        yield ok(f"the policy file {file} can be read")
