"""One line on a command, read from its source file instead of importing it.

`precache --help` lists every command, the service's among them; importing those would take seconds.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def summary(target: str) -> str:
    """Return the first line of the docstring of the class at `package.module:Class`; empty if none is found."""
    module, _, name = target.partition(":")
    try:
        tree = _source_of(module)
    except (ImportError, OSError, SyntaxError, ValueError):
        return ""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            text = ast.get_docstring(node) or ""
            return text.partition("\n")[0].rstrip(".")
    return ""


@cache
def _source_of(module: str) -> ast.Module:
    spec = find_spec(module)  # imports the packages above it, not the module
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    return ast.parse(Path(spec.origin).read_bytes())
