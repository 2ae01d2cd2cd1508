import pytest

from precache.api.refusals import InvalidRequest
from precache.api.schemas.validation import Schemas

DOCUMENT = {
    "paths": {
        "/things": {
            "get": {
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1}},
                    {"$ref": "#/components/parameters/Colour"},
                    {"name": "X-Header", "in": "header", "schema": {"type": "string"}},
                ]
            }
        }
    },
    "components": {
        "parameters": {"Colour": {"name": "colour", "in": "query", "schema": {"enum": ["red", "blue"]}}},
        "schemas": {
            "Inner": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
            "Outer": {"type": "object", "properties": {"inner": {"$ref": "#/components/schemas/Inner"}}},
            "RequiredFirst": {
                "type": "object",
                "required": ["a"],
                "additionalProperties": False,
                "properties": {"a": {}},
            },
            "AdditionalFirst": {
                "type": "object",
                "additionalProperties": False,
                "required": ["a"],
                "properties": {"a": {}},
            },
        },
    },
}


@pytest.fixture(scope="module")
def schemas():
    return Schemas(DOCUMENT)


def message_of(call, *args, **kwargs):
    with pytest.raises(InvalidRequest) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_body_that_fits_passes(schemas):
    schemas.check_body("Outer", {"inner": {"n": 1}})


def test_message_names_the_innermost_field_and_its_value(schemas):
    message = message_of(schemas.check_body, "Outer", {"inner": {"n": "x"}})

    assert message == "Invalid input for field/attribute n. Value: x. 'x' is not of type 'integer'"


def test_message_about_the_whole_body_is_bare(schemas):
    assert message_of(schemas.check_body, "Outer", []) == "[] is not of type 'object'"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RequiredFirst", "'a' is a required property"),
        ("AdditionalFirst", "Additional properties are not allowed ('b' was unexpected)"),
    ],
)
def test_order_of_the_keywords_decides_which_violation_answers(schemas, name, message):
    assert message_of(schemas.check_body, name, {"b": 1}) == message


def test_query_is_converted_to_its_declared_types(schemas):
    given = {"limit": "5", "colour": "red"}

    assert schemas.check_query("GET", "/things", given, is_strict=True) == {"limit": 5, "colour": "red"}


@pytest.mark.parametrize("name", ["shape", "X-Header"])
def test_unknown_parameter_is_dropped_unless_strict(schemas, name):
    assert schemas.check_query("GET", "/things", {name: "x"}, is_strict=False) == {}
    assert name in message_of(schemas.check_query, "GET", "/things", {name: "x"}, is_strict=True)


def test_several_unknown_parameters_are_named_together(schemas):
    message = message_of(schemas.check_query, "GET", "/things", {"a": "1", "b": "2"}, is_strict=True)

    assert message == "Additional properties are not allowed ('a', 'b' were unexpected)"


@pytest.mark.parametrize("given", [{"limit": "x"}, {"limit": "0"}, {"limit": ["1", "2"]}, {"colour": "green"}])
def test_parameter_that_breaks_its_schema_is_refused(schemas, given):
    assert message_of(schemas.check_query, "GET", "/things", given, is_strict=True).startswith(
        f"Invalid input for query parameters {next(iter(given))}. Value: "
    )
