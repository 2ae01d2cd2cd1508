import pytest

from precache.api.identity import noauth


def identity(**sent):
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        return []

    noauth(app)(dict(sent), lambda *_: None)
    return seen


def test_stranger_is_an_administrator_with_a_name():
    seen = identity()

    assert seen["HTTP_X_IDENTITY_STATUS"] == "Confirmed"
    assert seen["HTTP_X_ROLES"] == "admin"
    assert (seen["HTTP_X_USER_ID"], seen["HTTP_X_PROJECT_ID"]) == ("noauth", "noauth")


@pytest.mark.parametrize(
    ("token", "user", "project"),
    [
        ("alice:cloud", "alice", "cloud"),
        ("alice", "alice", "alice"),
        (":cloud", "noauth", "cloud"),
        ("a:b:c", "a", "b:c"),
    ],
)
def test_token_names_user_and_project(token, user, project):
    seen = identity(HTTP_X_AUTH_TOKEN=token)

    assert (seen["HTTP_X_USER_ID"], seen["HTTP_X_PROJECT_ID"]) == (user, project)


@pytest.mark.parametrize("roles", ["reader,member", ""])
def test_roles_can_be_given(roles):
    assert identity(HTTP_X_ROLES=roles)["HTTP_X_ROLES"] == roles


def test_nothing_else_is_changed():
    sent = {"HTTP_X_AUTH_TOKEN": "alice:cloud", "HTTP_ACCEPT": "*/*", "PATH_INFO": "/v1/jobs"}

    assert {name: identity(**sent)[name] for name in sent} == sent
