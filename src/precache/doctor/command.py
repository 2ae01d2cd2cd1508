"""`precache doctor`: checks a deployment and advises what to do about failures."""

from __future__ import annotations

import argparse
import logging
import stat
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from precache.cli.columns import Text
from precache.cli.command import Columns, ListCommand
from precache.cli.errors import UsageError
from precache.cli.exit_codes import ExitCode
from precache.config.load import DEFAULT_FILE, find_unknown_options, load_config
from precache.config.unknown_options import UnknownOption
from precache.core.errors import InvalidConfiguration
from precache.doctor.embedded import embedded
from precache.doctor.examine import OnBug, examine
from precache.doctor.findings import Finding, Status, failed, ok, skipped, warning
from precache.doctor.roles import ROLES, checks_for, likely_roles
from precache.wiring.commands.options import STANDALONE, add_config_file, given_path


class Doctor(ListCommand):
    """Check this deployment, and say what to do about what is wrong.

    Run it where the processes run, as the user that they run as. It changes nothing. It ends with 0 if nothing has
    failed, with 8 otherwise; warnings are no failures.

    Examples:
      precache doctor --config-file /etc/precache/precache.conf
      precache doctor --role compute -f json
      precache doctor --role all --state-dir /var/lib/precache
    """

    columns = ("check", "status", "found", "advice")

    formatter_namespace = "precache.formatters.doctor"
    formatter_default = "text"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--role",
            action="append",
            choices=ROLES,
            help="the process that runs here; may be given several times (default: api and conductor where "
            "[database] connection is set, compute where instances_path exists)",
        )
        parser.add_argument(
            "--state-dir", metavar="DIR", type=given_path, help="directory of `precache serve all`, for --role all"
        )
        add_config_file(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        # Libraries' log lines about unavailable services would mix with the findings, which have the same information.
        logging.getLogger().addHandler(logging.NullHandler())
        if parsed_args.state_dir is not None and "all" not in (parsed_args.role or ()):
            raise UsageError("--state-dir is for --role all")
        findings = _examined(parsed_args, self._show_bug)
        if any(finding.status is Status.FAILED for _, finding in findings):
            self.exit_code = ExitCode.UNHEALTHY
        return self.columns, [
            (name, finding.status.value, Text(finding.found), Text(finding.advice)) for name, finding in findings
        ]

    def _show_bug(self, bug: Exception) -> None:
        if self.app.options.debug:
            traceback.print_exception(bug, file=self.app.stderr)


def _examined(asked: argparse.Namespace, on_bug: OnBug) -> list[tuple[str, Finding]]:
    files: Sequence[Path] | None = asked.config_file
    is_embedded = "all" in (asked.role or ())
    try:
        config = load_config(files, STANDALONE if is_embedded else None, refuse_misspelt=False)
    except InvalidConfiguration as error:
        broken = Finding(Status.FAILED, str(error), "correct it; nothing else was checked")
        unknown = check_unknown(find_unknown_options(files))
        return [("configuration", finding) for finding in (broken, *unknown)]
    read = files if files is not None else [DEFAULT_FILE] if DEFAULT_FILE.exists() else []
    found = [("configuration", finding) for finding in (*check_files(read), *check_unknown(config.unknown))]
    checks = checks_for(asked.role or likely_roles(config), config)
    return found + examine(embedded(config, asked.state_dir), checks, on_bug)


def check_files(files: Sequence[Path]) -> Iterator[Finding]:
    """Check that not every user of the machine can read them. They exist, because they have been read already."""
    if not files:
        yield skipped("there is no configuration file; the defaults apply")
    for file in files:
        if file.stat().st_mode & stat.S_IROTH:
            yield warning(f"every user of this machine can read {file}, which may hold passwords", f"chmod o= {file}")
        else:
            yield ok(f"{file} was read")


def check_unknown(entries: Sequence[UnknownOption]) -> Iterator[Finding]:
    """Report each entry that is no option. The processes refuse to start if one is misspelt."""
    for entry in entries:
        yield (failed if entry.is_misspelt else warning)(entry.found, entry.advice)
