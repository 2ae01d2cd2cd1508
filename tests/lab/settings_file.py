"""Configuration files in OpenStack's format, written from what a test has at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Sections = Mapping[str, Mapping[str, object]]
"""Section by name; in it, option by name."""


def write_settings(path: Path, sections: Sections) -> Path:
    """Write the file and give its path; only its owner may read it."""
    lines: list[str] = []
    for section, options in sections.items():
        lines += [f"[{section}]", *(f"{name} = {value}" for name, value in options.items()), ""]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines))
    return path


def keystone_login(*, auth_url: str, username: str, password: str) -> dict[str, object]:
    """Give the options with which a service logs in at Keystone as a user of the project `service`."""
    return {
        "auth_url": auth_url,
        "auth_type": "password",
        "username": username,
        "password": password,
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": "RegionOne",
    }
