"""Where the service's log goes: standard error, one line an event, for journald or a file to keep."""

import logging
import sys

FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s"


def log_to_stderr(*, debug: bool, quiet: bool = False) -> None:
    """Set up logging, once, at the start of a process. quiet: warnings only, for a command that ends."""
    usual = logging.WARNING if quiet else logging.INFO
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if debug else usual,
        format=FORMAT,
        datefmt="%Y-%m-%d %H:%M:%S",
        force=True,
    )
    # Their debug output speaks of every connection and statement, and may hold request headers.
    for name in ("urllib3", "keystoneauth", "sqlalchemy", "alembic", "oslo_policy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It tells of every bad token, and of its own history.
    logging.getLogger("keystonemiddleware").setLevel(logging.ERROR)
    # It warns of a plugin that is missing, which we say ourselves and in one sentence.
    logging.getLogger("stevedore").setLevel(logging.ERROR)
