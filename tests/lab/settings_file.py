"""Configuration files in OpenStack's format, written from what a test has at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Sections = Mapping[str, Mapping[str, object]]
"""Section by name; in it, option by name."""


def write_settings(path: Path, sections: Sections) -> Path:
    """Write the file and return its path; only its owner may read it."""
    lines: list[str] = []
    for section, options in sections.items():
        lines += [f"[{section}]", *(f"{name} = {value}" for name, value in options.items()), ""]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines))
    return path
