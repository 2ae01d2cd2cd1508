import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from precache.api.schemas.validation import InvalidName, format_checker
from precache.core.errors import InvalidImageId
from precache.core.images import parse_image_id


def is_valid(format_name, value):
    return Draft202012Validator({"format": format_name}, format_checker=format_checker()).is_valid(value)


@pytest.mark.parametrize("value", ["a", "a b", "Ünï cödé", "東京", "🐧", "a:b", ""])
def test_name_of_printable_characters_is_one(value):
    assert is_valid("name", value)


@pytest.mark.parametrize("value", [" a", "a ", "\u3000a", "a\n", "a\tb", "a\x00", "a\u2028b", "\x7f", "a\ud800"])
def test_name_with_control_characters_or_outer_spaces_is_invalid(value):
    assert not is_valid("name", value)


@pytest.mark.parametrize(("value", "expected"), [(" a ", True), ("   ", False), ("", False), ("a\nb", False)])
def test_name_with_spaces_needs_something_between_them(value, expected):
    assert is_valid("name_with_spaces", value) is expected


@pytest.mark.parametrize(("value", "expected"), [("nova", True), ("a:b", False), (" a", False), ("", True)])
def test_zone_name_has_no_colon(value, expected):
    assert is_valid("zone_name", value) is expected


@pytest.mark.parametrize("format_name", ["uuid", "name", "name_with_spaces", "zone_name"])
def test_formats_say_nothing_about_what_is_no_text(format_name):
    assert is_valid(format_name, 5)
    assert is_valid(format_name, None)


def test_complaint_about_a_name_is_the_whole_message():
    assert str(InvalidName("short")) == "An invalid 'name' value was provided. The name must be: short"


@given(st.uuids(), st.sampled_from(["{}", "{{{}}}", "urn:uuid:{}"]), st.booleans(), st.booleans())
def test_every_spelling_of_a_uuid_is_one_and_reads_as_the_same(uuid, frame, has_dashes, is_upper):
    text = str(uuid) if has_dashes else uuid.hex
    spelled = frame.format(text.upper() if is_upper else text)

    assert is_valid("uuid", spelled)
    assert parse_image_id(spelled) == str(uuid)


@given(st.text())
def test_uuid_is_what_can_be_read_as_one(text):
    try:
        parse_image_id(text)
    except InvalidImageId:
        assert not is_valid("uuid", text)
    else:
        assert is_valid("uuid", text)
