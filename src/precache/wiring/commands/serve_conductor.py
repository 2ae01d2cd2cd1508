"""`precache serve conductor`: run a conductor."""

from __future__ import annotations

import argparse

from precache.wiring.commands.serving import ServeCommand, serve_until_told
from precache.wiring.conductor_process import ConductorProcess


class ServeConductor(ServeCommand):
    """Run a conductor: it runs jobs, and calls the hosts of every cell over the cell's message bus.

    Several may run and share the jobs; if one ends, another continues its jobs.

    Example:
      precache serve conductor --config-file /etc/precache/precache.conf
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        serve_until_told(
            ConductorProcess(config=self.configured(parsed_args)),
            print_message=self.print_message,
            greeting=lambda owner: f"The conductor {owner} works on jobs. Ctrl-C ends it.",
            farewell="Stopping; another conductor continues the running jobs, or this one at its next start.",
        )
