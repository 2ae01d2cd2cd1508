"""Validates bodies and queries against the document, with Nova's messages.

The first violation is reported. The order of keywords within a schema decides which one is first, so that order is part
of the contract; `openapi.yaml` says where it matters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from precache.api.refusals import InvalidRequest
from precache.api.schemas.document import Document, operation, resolve
from precache.core.errors import InvalidImageId
from precache.core.images import parse_image_id
from precache.core.text import quoted, shortened

_DOCUMENT = "precache:openapi"
_INTEGER = re.compile(r"-?[0-9]{1,18}")  # stricter than Python's int(): no 1_0, +1 or digits of other scripts


class InvalidName(ValueError):
    """An invalid name; its text is the whole message to the client."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"An invalid 'name' value was provided. The name must be: {rule}")


class Schemas:
    """The schemas of one document, compiled once; safe for many threads."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._registry: Registry[Any] = Registry().with_resource(_DOCUMENT, DRAFT202012.create_resource(dict(document)))
        self._checker = format_checker()
        self._bodies = {name: self._compile(name) for name in document["components"]["schemas"]}

    def check_body(self, name: str, body: Any, *, has_novas_text: bool = True) -> None:
        """Raise InvalidRequest unless the body is valid by the schema of this name.

        has_novas_text: whether the message is Nova's to the letter, which has some of Python's words.
        """
        for violation in self._bodies[name].iter_errors(body):
            raise InvalidRequest(_describe(violation) if has_novas_text else _describe_plainly(violation))

    def check_query(self, method: str, path: str, given: Mapping[str, Any], *, is_strict: bool) -> dict[str, Any]:
        """Return the query parameters that the operation declares, converted to their types.

        is_strict: whether a parameter that it does not declare is an error. Raises InvalidRequest.
        """
        declared = self._parameters(method, path)
        unknown = [name for name in given if name not in declared]
        if unknown and is_strict:
            raise InvalidRequest(_unexpected(unknown))
        return {
            name: _converted(name, value, declared[name], self._checker)
            for name, value in given.items()
            if name in declared
        }

    def _compile(self, name: str) -> Draft202012Validator:
        reference = {"$ref": f"{_DOCUMENT}#/components/schemas/{name}"}
        return Draft202012Validator(reference, registry=self._registry, format_checker=self._checker)

    def _parameters(self, method: str, path: str) -> dict[str, Mapping[str, Any]]:
        found = (
            resolve(self._document, each) for each in operation(self._document, method, path).get("parameters", ())
        )
        return {each["name"]: self._resolved(each["schema"]) for each in found if each["in"] == "query"}

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the schema of a parameter without references."""
        whole = resolve(self._document, schema)
        return {**whole, "items": resolve(self._document, whole["items"])} if "items" in whole else whole


def _describe(violation: ValidationError) -> str:
    if isinstance(violation.cause, InvalidName):
        return str(violation.cause)
    if violation.path:
        return (
            f"Invalid input for field/attribute {violation.path[-1]}. Value: {violation.instance}. {violation.message}"
        )
    return violation.message


def _describe_plainly(violation: ValidationError) -> str:
    """Return Nova's message, except for what is empty or long, and with values as JSON."""
    if not violation.path:
        return _rule(violation)
    named = next((part for part in reversed(violation.path) if isinstance(part, str)), violation.path[-1])
    return f"Invalid input for field/attribute {named}. {_fault(violation)}"


def _fault(violation: ValidationError) -> str:
    if _is_empty(violation):
        return "It must not be empty."
    value: Any = violation.instance
    if violation.validator in _LENGTHS:
        kind = _LENGTHS[violation.validator]
        return f"It has {len(value)} {kind}; at most {violation.validator_value} are allowed."
    return f"Value: {shortened(value) if isinstance(value, str) else quoted(value)}. {_rule(violation)}"


_LENGTHS = {"maxLength": "characters", "maxItems": "items"}


def _rule(violation: ValidationError) -> str:
    """Return the validator's message, which begins with the value in most cases."""
    value = repr(violation.instance)
    if violation.message.startswith(value):
        return f"{quoted(violation.instance)}{violation.message[len(value) :]}"
    return shortened(violation.message)


def _is_empty(violation: ValidationError) -> bool:
    return violation.validator in ("minLength", "minItems") and not violation.instance


def _unexpected(names: list[str]) -> str:
    listed = ", ".join(map(quoted, names))
    return f"Additional properties are not allowed ({listed} {'was' if len(names) == 1 else 'were'} unexpected)"


def _converted(name: str, text: Any, schema: Mapping[str, Any], checker: FormatChecker) -> Any:
    """Return the parameter's value by its declared type. Raises InvalidRequest, also if it was given twice.

    Only an array may be given several times, once for each item.
    """
    value = text
    match schema.get("type"):
        case "integer" if isinstance(text, str) and _INTEGER.fullmatch(text):
            value = int(text)
        case "boolean" if text in ("true", "false"):
            value = text == "true"
        case "array" if isinstance(text, str):
            value = [text]
    for violation in Draft202012Validator(schema, format_checker=checker).iter_errors(value):
        raise InvalidRequest(f"Invalid input for query parameters {name}. {_fault(violation)}")
    return value


def format_checker() -> FormatChecker:
    """Return a checker of the formats that JSON Schema does not define, with Nova's meaning and messages.

    It knows `uuid`, `name`, `name_with_spaces` and `zone_name`, and nothing else.
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
