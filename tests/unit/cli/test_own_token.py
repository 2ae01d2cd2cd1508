"""`--auth-token` and PRECACHE_TOKEN: tokens of a service without Keystone."""

import pytest

from tests.unit.cli.stub_service import Reply

SECRET = "precache_s3cret"
HOSTS = "/v1/hosts"
KEYSTONE = {"OS_AUTH_URL": "http://127.0.0.1:9/v3", "OS_USERNAME": "me", "OS_PASSWORD": "pw", "OS_TOKEN": "other"}


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (["--auth-token", SECRET], {}),
        ([], {"PRECACHE_TOKEN": SECRET}),
        (["--auth-token", SECRET], {"PRECACHE_TOKEN": "another"}),
        ([], {"PRECACHE_TOKEN": SECRET, **KEYSTONE}),
    ],
)
def test_the_token_is_sent_and_keystone_is_not_asked(run, service, words, environ):
    ran = run(*words, "host", "list", environ=environ)

    assert (ran.code, ran.err) == (0, "")
    assert [request.headers["x-auth-token"] for request in service.asked] == [SECRET]


def test_a_keystone_token_on_the_command_line_wins_over_the_environment(run, service):
    run("--token", "other", "host", "list", environ={"PRECACHE_TOKEN": SECRET})

    assert [request.headers["x-auth-token"] for request in service.asked] == ["other"]


@pytest.mark.parametrize("environ", [{}, {"PRECACHE_TOKEN": "precache_wrong"}])
def test_a_missing_or_wrong_token_says_which_variable_to_set(run, service, environ):
    service.replies["GET", HOSTS] = Reply(401, {"error": {"code": 401, "title": "Unauthorized"}})

    ran = run("host", "list", environ=environ)

    assert ran.code == 1
    assert "PRECACHE_TOKEN" in ran.err
    assert "precache_wrong" not in ran.err


@pytest.mark.parametrize(
    "environ",
    [
        {"PRECACHE_URL": "http://controller:8775"},
        {"PRECACHE_URL": "https://controller:8775", "PRECACHE_IMAGE_URL": "http://controller:9292"},
        {"PRECACHE_URL": "https://controller:8775", "PRECACHE_COMPUTE_URL": "http://192.0.2.7"},
        {"PRECACHE_URL": "http://127.0.0.1.example.org:8775"},
    ],
)
def test_a_token_is_never_sent_unencrypted_to_another_machine(run, service, environ):
    ran = run("host", "list", environ={"PRECACHE_TOKEN": SECRET, **environ})

    assert ran.code == 2
    assert "would be sent unencrypted to http://" in ran.err
    assert SECRET not in ran.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--auth-token", "a\r\nb"], "contains invalid characters"),
        (["--auth-token", "\N{SNOWMAN}"], "contains invalid characters"),
        (["--auth-token", "a", "--token", "b"], "exclude each other"),
    ],
)
def test_what_cannot_be_meant_is_refused(run, words, told):
    ran = run(*words, "host", "list")

    assert ran.code == 2
    assert told in ran.err


def test_an_address_without_an_image_service_is_reported(run, service):
    service.replies["GET", "/image/v2/images"] = Reply(404, {"error": {"message": "The resource could not be found."}})

    ran = run("image", "list")

    assert ran.code == 1
    assert "There is no image service at" in ran.err
    assert "--image-url (PRECACHE_IMAGE_URL)" in ran.err
