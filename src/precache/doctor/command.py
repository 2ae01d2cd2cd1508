"""`precache doctor`: looks a deployment over and says what to do about what is wrong."""

from __future__ import annotations

import argparse
import logging
import traceback
from collections.abc import Sequence
from pathlib import Path

from precache.cli.columns import Text
from precache.cli.command import Columns, ListCommand
from precache.cli.exit_codes import ExitCode
from precache.config.load import DEFAULT_FILE, load_config
from precache.core.errors import InvalidConfiguration
from precache.doctor.examine import OnBug, examine
from precache.doctor.files import look_at_files
from precache.doctor.findings import Finding, Status
from precache.doctor.roles import ROLES, checks_for, likely_roles
from precache.wiring.commands.options import add_config_file


class Doctor(ListCommand):
    """Look this deployment over, and say what to do about what is wrong.

    Run it where the processes run, as the user that they run as. It changes nothing. It ends with 0 if nothing has
    failed, with 8 otherwise; warnings are no failures.

    Examples:
      precache doctor --config-file /etc/precache/precache.conf
      precache doctor --role compute -f json
    """

    columns = ("check", "status", "found", "advice")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--role",
            action="append",
            choices=ROLES,
            help="the process that runs here; may be given several times (default: api and conductor where "
            "[database] connection is set, compute where instances_path exists)",
        )
        add_config_file(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        # What libraries say of a part that is away would come between: the findings say it.
        logging.getLogger().addHandler(logging.NullHandler())
        findings = _examined(parsed_args.config_file, parsed_args.role, self._show_bug)
        if any(finding.status is Status.FAILED for _, finding in findings):
            self.exit_code = ExitCode.UNHEALTHY
        return self.columns, [
            (name, finding.status.value, Text(finding.found), Text(finding.advice)) for name, finding in findings
        ]

    def _show_bug(self, bug: Exception) -> None:
        if self.app.options.debug:
            traceback.print_exception(bug, file=self.app.stderr)


def _examined(files: Sequence[Path] | None, roles: Sequence[str] | None, on_bug: OnBug) -> list[tuple[str, Finding]]:
    try:
        config = load_config(files)
    except InvalidConfiguration as error:
        return [("configuration", Finding(Status.FAILED, str(error), "correct it; nothing else was looked at"))]
    read = files if files is not None else [DEFAULT_FILE] if DEFAULT_FILE.exists() else []
    found = [("configuration", finding) for finding in look_at_files(read)]
    return found + examine(config, checks_for(roles or likely_roles(config), config), on_bug)
