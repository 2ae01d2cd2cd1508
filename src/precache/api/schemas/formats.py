"""Formats in the schemas that JSON Schema does not define, with Nova's meaning and messages."""

from __future__ import annotations

import unicodedata

from jsonschema import FormatChecker

from precache.core.errors import InvalidImageId
from precache.core.images import parse_image_id


class InvalidName(ValueError):
    """An invalid name; its text is the whole message to the client."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"An invalid 'name' value was provided. The name must be: {rule}")


def format_checker() -> FormatChecker:
    """Return a checker that knows `uuid`, `name`, `name_with_spaces` and `zone_name`, and nothing else.

    An empty name passes `name` and `zone_name`: its length is for `minLength` to find wrong.
    """
    checker = FormatChecker(formats=())
    checker.checks("uuid", raises=InvalidImageId)(_is_uuid)
    checker.checks("name", raises=InvalidName)(_is_name)
    checker.checks("name_with_spaces", raises=InvalidName)(_is_name_with_spaces)
    checker.checks("zone_name", raises=InvalidName)(_is_zone_name)
    return checker


def _is_uuid(value: object) -> bool:
    if isinstance(value, str):
        parse_image_id(value)
    return True


def _is_name(value: object) -> bool:
    if isinstance(value, str) and not (_is_printable(value) and _has_no_outer_space(value)):
        raise InvalidName("printable characters. Can not start or end with whitespace.")
    return True


def _is_name_with_spaces(value: object) -> bool:
    if isinstance(value, str) and not (_is_printable(value) and value.strip()):
        raise InvalidName("printable characters with at least one non space character")
    return True


def _is_zone_name(value: object) -> bool:
    if isinstance(value, str) and not (_is_printable(value) and _has_no_outer_space(value) and ":" not in value):
        raise InvalidName("printable characters except :.Can not start or end with whitespace.")
    return True


def _is_printable(text: str) -> bool:
    """Letters, marks, numbers, punctuation, symbols and horizontal spaces; no control or line separating character."""
    return all(
        not category.startswith("C") and (not category.startswith("Z") or category == "Zs")
        for category in map(unicodedata.category, text)
    )


def _has_no_outer_space(text: str) -> bool:
    return not text or (unicodedata.category(text[0]) != "Zs" and unicodedata.category(text[-1]) != "Zs")
