"""What the code imports is what pyproject.toml declares; nothing comes in only because another package brings it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "precache"

FOUND_AT_RUN_TIME = {
    "openstack",  # openstacksdk, for clouds.yaml; the message says how to get it
}
COMPILED_AT_INSTALLATION = {"libvirt": "libvirt-python"}
"""Optional, and not there where nothing can compile it; what provides the module is therefore written here."""

ONLY_FOR_TYPES = {"_typeshed"}

FOUND_BY_ITS_NAME = {"pymysql", "tzdata"}
"""SQLAlchemy imports the driver that a URL names, and `zoneinfo` the tables of time zones."""


def normal(name: str) -> str:
    """Return a distribution's name as all its spellings are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> set[str]:
    """Return the first name of every import from outside."""
    names: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"precache"}


def runtime_requirements() -> list[str]:
    """Return what the service and its databases need, not what its development does."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *(line for name in extras if name != "dev" for line in extras[name])]


def declared() -> set[str]:
    return {normal(re.split(r"[\[<>=!~; ]", line)[0]) for line in runtime_requirements()}


def test_every_import_belongs_to_a_declared_dependency() -> None:
    providers = {**packages_distributions(), **{name: [given] for name, given in COMPILED_AT_INSTALLATION.items()}}

    undeclared = {
        name
        for name in imported() - FOUND_AT_RUN_TIME - ONLY_FOR_TYPES
        if not {normal(provider) for provider in providers.get(name, ())} & declared()
    }

    assert undeclared == set()


def test_every_declared_dependency_is_imported() -> None:
    providers = {**packages_distributions(), **{name: [given] for name, given in COMPILED_AT_INSTALLATION.items()}}

    used = {normal(provider) for name in imported() for provider in providers.get(name, ())}

    assert declared() - used - FOUND_BY_ITS_NAME == set()


def test_every_dependency_has_a_lower_bound() -> None:
    assert [line for line in runtime_requirements() if ">=" not in line] == []


def test_every_lower_bound_is_a_version_that_is_tested() -> None:
    """`make test-lowest` runs with constraints-lowest.txt; a bound below what is in there is only hoped for."""
    tested = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints-lowest.txt").read_text(), re.MULTILINE))
    bounds = {
        normal(found[1]): found[2]
        for line in runtime_requirements()
        if (found := re.match(r"([\w.-]+)(?:\[.*\])?>=([\d.]+)", line))
    }

    def number(version: str) -> list[int]:
        parts = [int(part) for part in version.split(".")]
        return parts + [0] * (4 - len(parts))

    assert {name: tested.get(name) for name in bounds if number(tested.get(name, "0")) != number(bounds[name])} == {}
