"""`precache serve conductor`: the process that works on jobs."""

from __future__ import annotations

import argparse

from precache.wiring.commands.serving import ServesPart, serve_until_told
from precache.wiring.conductor_process import ConductorProcess


class ServeConductor(ServesPart):
    """Run a conductor: it works on jobs, and asks the hosts of every cell over the cell's message bus.

    Several may run and share the jobs; what one leaves behind another takes over.

    Example:
      precache serve conductor --config-file /etc/precache/precache.conf
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        serve_until_told(
            ConductorProcess(config=self.configured(parsed_args)),
            tell=self.tell,
            greeting=lambda owner: f"The conductor {owner} works on jobs. Ctrl-C ends it.",
            farewell="Stopping; jobs under way go on with another conductor, or at the next start.",
        )
