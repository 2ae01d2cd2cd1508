"""`precache config ...`: print a sample configuration file, or a new key."""

from __future__ import annotations

import argparse
import io
from typing import Any, cast

from cryptography.fernet import Fernet
from oslo_config import cfg, generator

from precache.cli.command import Command


class ConfigSample(Command):
    """Print a configuration file with every option, its meaning and its default.

    Example:
      precache config sample > /etc/precache/precache.conf
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:  # noqa: ARG002  cliff decides the signature
        cast(Any, self.app).stdout.write(sample_config())


class ConfigKey(Command):
    """Print a new key for [database] encryption_keys.

    Transport URLs of cells, and the key that signs for hosts of swarms, are encrypted with it. Every conductor, and the
    commands `precache cell` and `precache swarm authority`, need the same key. Keep a copy: without it the URLs must be
    entered again. To change it, put the new key in front of the old one.

    Example:
      precache config key
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:  # noqa: ARG002  cliff decides the signature
        cast(Any, self.app).stdout.write(Fernet.generate_key().decode() + "\n")


def sample_config() -> str:
    """Return the sample file."""
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--namespace", "precache", "--wrap-width", "100"], default_config_files=[], default_config_dirs=[])
    text = io.StringIO()
    generator.generate(conf, text)
    return text.getvalue()
