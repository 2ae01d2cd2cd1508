"""Keys that clients give, and what two requests must share to be one."""

import pytest

from precache.core.idempotency import IdempotencyKey, is_idempotency_key

BODY = {"images": [{"image": "a"}], "target": {"hosts": ["h"]}}


def key(text="k", *, project_id="p", user_id="u", body=BODY):
    return IdempotencyKey.of(text, project_id=project_id, user_id=user_id, body=body)


@pytest.mark.parametrize("text", ["a", "!", "~", "x" * 255, "8f1c2a60-friday/rollout:1"])
def test_visible_ascii_is_a_key(text):
    assert is_idempotency_key(text)


@pytest.mark.parametrize("text", ["", "x" * 256, "a b", " a", "a\t", "a\n", "\x7f", "\x00", "\xe9", "\N{SNOWMAN}"])
def test_any_other_text_is_none(text):
    assert not is_idempotency_key(text)


def test_the_order_of_the_fields_does_not_count():
    assert key() == key(body=dict(reversed(BODY.items())))


@pytest.mark.parametrize("other", [{"text": "l"}, {"project_id": "q"}, {"user_id": "v"}])
def test_another_key_or_caller_is_another_request(other):
    assert key(**other).digest != key().digest


def test_names_that_join_to_the_same_text_are_different_callers():
    assert key("c", project_id="a", user_id="b").digest != key("bc", project_id="a", user_id="").digest


@pytest.mark.parametrize("body", [{}, {**BODY, "name": None}, {**BODY, "images": [{"image": "b"}]}])
def test_another_body_has_another_digest(body):
    assert key(body=body).digest == key().digest
    assert key(body=body).body_digest != key().body_digest
