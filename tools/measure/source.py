"""Counts in the sources: sizes, and how often the fields of a record are named."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TASK_FIELDS = frozenset(
    {
        "job_id", "host", "cell", "image", "image_name", "state", "outcome", "phase", "bytes_done", "bytes_total",
        "attempts", "failures", "reason", "started_at", "finished_at", "reported_at", "rate_bytes_per_s", "parent",
        "bytes_image_service", "bytes_hosts", "bytes_cache",
        "earlier_image_service", "earlier_hosts", "earlier_cache", "decoded_by",
    }
)  # fmt: skip
JOB_FIELDS = frozenset(
    {
        "aggregate_id", "aggregate_uuid", "aggregate_name", "name", "target", "images", "image_names", "image_sizes",
        "operation", "orders", "options", "state", "task_count", "counts", "progress", "by_image", "requested_by",
        "request_id", "created_at", "started_at", "finished_at", "lease_owner", "lease_until", "lease_token",
        "stopped_token", "for_host", "aggregate_metadata", "cancel_requested_at", "pause_requested_at", "due_at",
        "retry_count", "revision", "reason",
    }
)  # fmt: skip
THREAD_HOME = "background/"
FLOURISHES = ("Give", "Gives", "Say", "Says")


@dataclass(frozen=True)
class Place:
    """A function without nested functions, the rest of a class, or a statement of a module, such as a table.

    line: as in the file, which is named relative to the package.
    """

    file: str
    line: int
    name: str
    nodes: tuple[ast.AST, ...]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.name}"


class Sources:
    """All Python files of one package."""

    def __init__(self, package: Path) -> None:
        texts = {str(path.relative_to(package)): path.read_text() for path in sorted(package.rglob("*.py"))}
        self.lines = [line for text in texts.values() for line in text.splitlines()]
        self.trees = {file: ast.parse(text) for file, text in texts.items()}

    def statements(self) -> int:
        """Return the number of statements, without docstrings and other bare strings."""
        nodes = (node for tree in self.trees.values() for node in ast.walk(tree) if isinstance(node, ast.stmt))
        return sum(not _is_text(node) for node in nodes)

    def docstrings_opening_with(self, words: Iterable[str]) -> list[str]:
        """Return the places of docstrings that open with one of these words."""
        return [
            f"{file}:{node.lineno}"
            for file, tree in self.trees.items()
            for node in ast.walk(tree)
            if _is_text(node) and _first_word(node) in words
        ]

    def thread_sites(self) -> list[str]:
        """Return the calls of `Thread` and `Timer` outside the package for threads."""
        return [
            f"{file}:{node.lineno}"
            for file, tree in self.trees.items()
            if not file.startswith(THREAD_HOME)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and _name(node.func) in ("Thread", "Timer")
        ]

    def places_naming(self, fields: frozenset[str], *, at_least: int) -> list[Place]:
        """Return the places that name at least this number of the fields."""
        return [
            place
            for file, tree in self.trees.items()
            for place in _places(file, tree)
            if len(fields & {name for node in place.nodes for name in _names(node)}) >= at_least
        ]


def _places(file: str, tree: ast.Module) -> Iterator[Place]:
    for statement in tree.body:
        yield from _places_in(file, statement, "")


def _places_in(file: str, node: ast.AST, within: str) -> Iterator[Place]:
    name = within + getattr(node, "name", "")
    own: list[ast.AST] = [node]
    nested: list[ast.AST] = []
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        child = waiting.pop()
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            nested.append(child)
        else:
            own.append(child)
            waiting.extend(ast.iter_child_nodes(child))
    yield Place(file, node.lineno, name or "(module)", tuple(own))
    for child in nested:
        yield from _places_in(file, child, name + ".")


def _names(node: ast.AST) -> Iterator[str]:
    """Return the names in this node itself, also in strings, which may be keys or columns."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)) | ast.arg(arg=name):
            yield name
        case ast.Constant(value=str(text)):
            yield text


def _name(node: ast.expr) -> str | None:
    return next(_names(node), None)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _first_word(node: ast.AST) -> str:
    assert isinstance(node, ast.Expr)
    assert isinstance(node.value, ast.Constant)
    words = str(node.value.value).split(maxsplit=1)
    return words[0].rstrip(",.:;") if words else ""
