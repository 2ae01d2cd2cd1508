"""Makes a table fit the terminal: leave columns out, wrap text between words; never break a word, such as an id."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import MutableSequence, Sequence
from typing import Any

from wcwidth import wcswidth

_Row = MutableSequence[Any]


def table_width(parsed_args: argparse.Namespace) -> int | None:
    """Return the largest width of a table; None for no limit, as in a pipe."""
    if parsed_args.max_width > 0:
        return int(parsed_args.max_width)
    if sys.stdout.isatty() or parsed_args.fit_width:
        return shutil.get_terminal_size().columns
    return None


def drop_columns(
    names: MutableSequence[str], rows: Sequence[_Row], least_needed: Sequence[str], width: int | None
) -> list[str]:
    """Remove as many of the least needed columns as necessary from `names` and `rows`; return their names."""
    dropped: list[str] = []
    if width is None:
        return dropped
    least = _widths(names, rows, _widest_word)
    for name in filter(names.__contains__, least_needed):
        if _total(least) <= width:
            break
        place = names.index(name)
        del names[place], least[place]
        for row in rows:
            del row[place]
        dropped.append(name)
    return dropped


def fit_rows(names: Sequence[str], rows: Sequence[_Row], width: int | None) -> bool:
    """Wrap the cells of `rows` so that the table fits. If that is impossible, change nothing and return True."""
    if width is None:
        return False
    widths, least = _widths(names, rows, _widest_line), _widths(names, rows, _widest_word)
    if _total(least) > width:
        return True
    while _total(widths) > width:
        # Shrink the widest of the columns that can shrink, to the width of the next one or as far as needed.
        widest = max((place for place in range(len(widths)) if widths[place] > least[place]), key=widths.__getitem__)
        widths[widest] -= 1
    for row in rows:
        for place, value in enumerate(row):
            if isinstance(value, str):
                row[place] = wrapped(value, widths[place])
    return False


def as_records(names: Sequence[str], rows: Sequence[_Row], width: int | None) -> str:
    """Return the rows as blocks with one line per field, for a table that cannot fit."""
    label = max(map(_columns, names), default=0)
    blocks = []
    for row in rows:
        lines = []
        for name, value in zip(names, row, strict=True):
            text = wrapped(str(value), max(1, (width or 0) - label - 2))
            padding = " " * (label - _columns(name))
            lines.append(f"{name}{padding}  {textwrap.indent(text, ' ' * (label + 2)).lstrip()}".rstrip())
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _widths(names: Sequence[str], rows: Sequence[_Row], of: Any) -> list[int]:
    return [max(_columns(name), *(of(str(row[place])) for row in rows), 0) for place, name in enumerate(names)]


def _total(widths: Sequence[int]) -> int:
    """Return the width of the whole table: a space on both sides of each cell, and lines between them."""
    return sum(widths) + 3 * len(widths) + 1


def _widest_word(text: str) -> int:
    return max(map(_columns, text.split()), default=0)


def _widest_line(text: str) -> int:
    return max(map(_columns, text.splitlines()), default=0)


def _columns(text: str) -> int:
    """Return the text's width in terminal columns: Chinese characters and most emoji take two."""
    columns: int = wcswidth(text)
    return columns if columns >= 0 else len(text)


def wrapped(text: str, width: int) -> str:
    """Return the text in lines of at most `width` columns; a longer word has a line of its own."""
    if _widest_line(text) <= width:
        return text
    return "\n".join(_wrapped_line(line, width) for line in text.splitlines())


def _wrapped_line(line: str, width: int) -> str:
    # textwrap counts characters.
    lines = [""]
    for word in line.split():
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and _columns(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)
