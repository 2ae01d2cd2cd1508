"""`precache config sample`: what can be configured, with every default, as a file."""

from __future__ import annotations

import argparse
import io
from typing import Any, cast

from oslo_config import cfg, generator

from precache.cli.command import Command


class ConfigSample(Command):
    """Print a configuration file with every option, its meaning and its default.

    Example:
      precache config sample > /etc/precache/precache.conf
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:  # noqa: ARG002  cliff decides the signature
        cast(Any, self.app).stdout.write(sample_config())


def sample_config() -> str:
    """Render the sample file."""
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--namespace", "precache", "--wrap-width", "100"], default_config_files=[], default_config_dirs=[])
    text = io.StringIO()
    generator.generate(conf, text)
    return text.getvalue()
