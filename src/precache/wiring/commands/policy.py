"""`precache policy sample`: print a policy file with the defaults."""

from __future__ import annotations

import argparse
from typing import Any, cast

from precache.adapters.policy_oslo import render_sample
from precache.api.policies import RULES
from precache.cli.command import Command


class PolicySample(Command):
    """Print a policy file with every rule, the operations that it protects, and its default.

    Example:
      precache policy sample > /etc/precache/policy.yaml
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:  # noqa: ARG002  cliff decides the signature
        cast(Any, self.app).stdout.write(render_sample(RULES))
