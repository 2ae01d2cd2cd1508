"""Options that several of these commands share, and their parsers."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from precache.core.errors import InvalidConfiguration

STANDALONE: Mapping[tuple[str | None, str], object] = {("image_cache", "owner"): "precache"}
"""The settings of commands for hosts without Nova if there is no configuration file."""


OWNER_BY_DEFAULT = (
    "[image_cache] owner is nova, only because a configuration file is read that does not set it; "
    "without any file it would be precache"
)
"""A warning: users do not expect that any configuration file, even an empty one, changes this default."""


def given_path(text: str) -> Path:
    """Return a path of the command line. Refuse an empty one: an unset variable would mean the current directory."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def add_config_file(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--config-file",
        metavar="FILE",
        type=given_path,
        action="append",
        help="configuration file; may be given several times, later ones win (default: /etc/precache/precache.conf)",
    )


def existing_directory(path: Path, option: str) -> Path:
    """Return the absolute path. Raises InvalidConfiguration unless it is a directory."""
    if not path.is_dir():
        raise InvalidConfiguration(f"{option}: {path} is not a directory; create it or give another")
    return path.absolute()
