import json

import falcon.testing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.api.bodies import BodyReader, check_content_type, parse_json
from precache.api.refusals import BodyBrokenOff, MalformedBody, WrongContentType

DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=10,
)


@given(DOCUMENTS, st.booleans())
def test_json_is_read_whether_or_not_it_escapes(document, has_escapes):
    assert parse_json(json.dumps(document, ensure_ascii=has_escapes).encode()) == document


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "it is no JSON from line 1, column 2"),
        (b"\xff", "it is not in UTF-8"),
        (b"{'a': 1}", "it is no JSON from line 1, column 2"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"[" * 980 + b"]" * 980, "it is nested too deeply"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "it is nested too deeply"),
        (b"9" * 5000, "a number in it has too many digits"),
        (rb'"\u0000"', "a text in it has the character NUL, which cannot be stored"),
        (rb'{"\u0000": 1}', "a text in it has the character NUL, which cannot be stored"),
        (rb'[["\ud800"]]', "a text in it has half of a surrogate pair, which cannot be stored"),
        (b'"a"\n"b"', "it is no JSON from line 2, column 1"),
        (b" ", "it is no JSON from line 1, column 2"),
    ],
)
def test_what_is_no_json_or_cannot_be_stored_is_malformed(raw, reason):
    with pytest.raises(MalformedBody, match=r"^Malformed request body$"):
        parse_json(raw)
    with pytest.raises(MalformedBody, match=f"^Malformed request body: {reason}$"):
        parse_json(raw, has_novas_text=False)


def test_no_body_is_no_document():
    assert parse_json(b"") is None


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "Application/JSON; charset=utf-8",
        "text/plain",
        "application/vnd.openstack.compute+json",
    ],
)
def test_json_or_no_content_type_is_accepted(content_type):
    check_content_type(content_type)


@pytest.mark.parametrize("content_type", ["application/xml", "application/jsonp", "multipart/form-data; boundary=x"])
def test_other_types_are_refused(content_type):
    with pytest.raises(WrongContentType):
        check_content_type(content_type)


class Broken:
    """A body that ends in the server's error."""

    def __init__(self, error):
        self._error = error

    def read(self, _size=None):
        raise self._error


@pytest.mark.parametrize("headers", [{"CONTENT_LENGTH": "5"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TimeoutError("timed out"), BodyBrokenOff),
        (ConnectionResetError(), BodyBrokenOff),
        (ValueError("Bad chunked transfer size: b'ZZZ'"), MalformedBody),
    ],
)
def test_a_body_that_does_not_come_whole_is_the_clients_fault(headers, error, told):
    reader = falcon.Request(falcon.testing.create_environ() | headers | {"wsgi.input": Broken(error)})
    BodyReader(max_bytes=10).process_request(reader, falcon.Response())

    with pytest.raises(told):
        reader.context.read_body()


def test_a_body_shorter_than_announced_is_broken_off():
    request = falcon.Request(falcon.testing.create_environ(body="1234") | {"CONTENT_LENGTH": "5"})
    BodyReader(max_bytes=10).process_request(request, falcon.Response())

    with pytest.raises(BodyBrokenOff):
        request.context.read_body()
