"""Who may do what, by a real Keystone: tokens good and bad, of every scope, and a policy file that changes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from keystoneauth1.identity.v3 import Password

from tests.lab.cloud import Cloud
from tests.lab.keystone import User
from tests.lab.venvs import CLOUD
from tests.system.cloud_api import AGGREGATES, CloudApi, cloud_api
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.external]

LOOKING = ("/v1/jobs", "/v1/hosts", "/v1/hosts/cmp-1", AGGREGATES, f"{AGGREGATES}/1")
MEMBERS_MAY = '"compute:aggregates:images": "rule:context_is_admin or role:member"\n'

# A token that ended in 2020, made with the keys of the cloud's own Keystone.
OLD_TOKEN = """
import sys
import keystone.conf
from keystone.token import provider, token_formatters
keystone.conf.configure()
keystone.conf.CONF(["--config-file", sys.argv[1]])
print(token_formatters.TokenFormatter().create_token(
    sys.argv[2], "2020-01-01T00:00:00.000000Z", [provider.random_urlsafe_str()],
    token_formatters.ProjectScopedPayload, methods=["password"], project_id=sys.argv[3],
))
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.touch()
    return file


@pytest.fixture(scope="module")
def api(cloud: Cloud, policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudApi]:
    settings = {"oslo_policy": {"policy_file": policy}}
    with cloud_api(tmp_path_factory.mktemp("api"), cloud, settings) as running:
        yield running


@pytest.fixture(scope="module")
def image(cloud: Cloud) -> str:
    return cloud.glance.upload_image(visibility="public")


def token_of(cloud: Cloud, user: User, **scope: str) -> str:
    """Return a token of another scope than the user's project."""
    auth = Password(
        cloud.keystone.auth_url, username=user.name, password=user.password, user_domain_id="default", **scope
    )
    return str(cloud.keystone.session(user).get_token(auth=auth))


def grant(cloud: Cloud, path: str) -> None:
    """Return a role that is not on a project. path: of Keystone's API, with {reader} or {admin} for the role's id."""
    session, url = cloud.keystone.session(cloud.admin), cloud.keystone.auth_url
    roles = {role["name"]: role["id"] for role in session.get(f"{url}/roles").json()["roles"]}
    session.put(url + path.format(**roles))


def status(api: CloudApi, path: str, token: str | None) -> int:
    return api.deployment.call("GET", path, token=token).status_code


def test_an_administrator_starts_a_job(api: CloudApi, cloud: Cloud, image: str) -> None:
    answer = api.ask_to_cache(cloud.keystone.token(cloud.admin), image)

    assert answer.status_code == 202
    job = answer.headers["X-Precache-Job-Id"]
    assert api.tasks(job) == {("cmp-1", image), ("cmp-2", image)}


def test_tenants_neither_start_nor_see_anything(api: CloudApi, cloud: Cloud, image: str) -> None:
    before = len(api.jobs())

    for user in (cloud.member, cloud.reader, cloud.stranger):
        token = cloud.keystone.token(user)
        refused = api.ask_to_cache(token, image)
        assert refused.status_code == 403
        assert refused.json()["forbidden"]["message"] == (
            "Policy doesn't allow compute:aggregates:images to be performed."
        )
        assert {status(api, path, token) for path in LOOKING} == {403}
    assert len(api.jobs()) == before


def test_a_reader_of_the_cloud_sees_everything_and_starts_nothing(api: CloudApi, cloud: Cloud, image: str) -> None:
    token = cloud.keystone.token(cloud.keystone.add_user("auditor", project="audit", roles=("precache_reader",)))

    assert {status(api, path, token) for path in LOOKING} == {200}
    assert api.ask_to_cache(token, image).status_code == 403
    assert api.deployment.call("PUT", "/v1/hosts/cmp-1", {"forced_down": True}, token).status_code == 403


def test_a_reader_of_the_whole_system_sees_everything_and_starts_nothing(
    api: CloudApi, cloud: Cloud, image: str
) -> None:
    user = cloud.keystone.add_user("overseer", project="audit")
    grant(cloud, f"/system/users/{user.id}/roles/{{reader}}")
    token = token_of(cloud, user, system_scope="all")

    assert {status(api, path, token) for path in LOOKING} == {200}
    assert api.ask_to_cache(token, image).status_code == 403


def test_an_administrator_of_a_domain_is_not_one_of_the_cloud(api: CloudApi, cloud: Cloud, image: str) -> None:
    user = cloud.keystone.add_user("landlord", project="audit")
    grant(cloud, f"/domains/default/users/{user.id}/roles/{{admin}}")
    token = token_of(cloud, user, domain_id="default")

    assert {status(api, path, token) for path in LOOKING} == {403}
    assert api.ask_to_cache(token, image).status_code == 403


def test_a_token_without_a_scope_opens_nothing(api: CloudApi, cloud: Cloud) -> None:
    token = token_of(cloud, cloud.admin, unscoped="true")

    assert {status(api, path, token) for path in LOOKING} == {403}


@pytest.mark.parametrize("garbage", [None, "", "garbage", "gAAAAA" + "x" * 178, "x" * 9000, "\xe9\xe8", "a b"])
def test_a_caller_without_a_token_is_told_where_to_get_one(api: CloudApi, cloud: Cloud, garbage: str | None) -> None:
    headers = {} if garbage is None else {"X-Auth-Token": garbage.encode("latin-1")}

    answer = requests.get(f"{api.deployment.url}/v1/jobs", headers=headers, timeout=30)

    assert answer.status_code == 401
    assert answer.json()["error"]["title"] == "Unauthorized"
    assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{cloud.keystone.auth_url}"'


def test_a_revoked_token_opens_nothing(api: CloudApi, cloud: Cloud) -> None:
    token = cloud.keystone.token(cloud.admin)  # one that is not remembered yet

    cloud.keystone.revoke(token)

    assert status(api, "/v1/jobs", token) == 401


def test_an_expired_token_opens_nothing(api: CloudApi, cloud: Cloud) -> None:
    user = cloud.keystone.add_user("latecomer", project="admin", roles=("admin",))
    settings = cloud.keystone.log.with_name("keystone.conf")
    made = subprocess.run(
        [CLOUD.program("python"), "-W", "ignore", "-c", OLD_TOKEN, settings, user.id, user.project_id],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr

    assert status(api, "/v1/jobs", cloud.keystone.token(user)) == 200
    assert status(api, "/v1/jobs", made.stdout.strip()) == 401


def test_identity_headers_of_a_client_count_for_nothing(api: CloudApi, cloud: Cloud) -> None:
    forged = {
        "X-Identity-Status": "Confirmed", "X_Identity_Status": "Confirmed", "X-User-Id": cloud.admin.name,
        "X-Project-Id": "admin", "X-Roles": "admin", "X_Roles": "admin", "OpenStack-System-Scope": "all",
        "X-Service-Identity-Status": "Confirmed", "X-Is-Admin-Project": "True", "X-Role": "admin",
    }  # fmt: skip

    def forge(**token: str) -> int:
        return requests.get(f"{api.deployment.url}/v1/jobs", headers=forged | token, timeout=30).status_code

    assert forge() == 401
    assert forge(**{"X-Auth-Token": "garbage"}) == 401
    assert forge(**{"X-Auth-Token": cloud.keystone.token(cloud.reader)}) == 403
    assert forge(**{"X-Storage-Token": cloud.keystone.token(cloud.admin)}) == 401


def test_a_changed_policy_file_counts_without_a_restart(api: CloudApi, cloud: Cloud, policy: Path, image: str) -> None:
    token = cloud.keystone.token(cloud.member)
    try:
        write(policy, MEMBERS_MAY)
        assert api.ask_to_cache(token, image).status_code == 202
        assert status(api, "/v1/jobs", token) == 403
    finally:
        write(policy, "")
    assert api.ask_to_cache(token, image).status_code == 403


def test_an_image_that_the_caller_cannot_see_does_not_exist_for_them(api: CloudApi, cloud: Cloud, policy: Path) -> None:
    mine = cloud.glance.upload_image(owner=cloud.member)
    theirs = cloud.glance.upload_image(owner=cloud.stranger)
    token = cloud.keystone.token(cloud.member)
    write(policy, MEMBERS_MAY)
    try:
        before = len(api.jobs())
        refused = api.ask_to_cache(token, mine, theirs)
        assert (refused.status_code, len(api.jobs())) == (400, before)
        assert refused.json()["badRequest"]["message"] == f"Image {theirs} could not be found."
        assert api.ask_to_cache(token, mine).status_code == 202
        assert api.jobs()[0]["requested_by"] == cloud.member.id
    finally:
        write(policy, "")


def test_while_keystone_is_down_the_answer_says_try_later(api: CloudApi, cloud: Cloud) -> None:
    known, token = (cloud.keystone.token(cloud.admin) for _ in range(2))
    assert status(api, "/v1/jobs", known) == 200
    cloud.keystone.stop()
    try:
        answer = api.deployment.call("GET", "/v1/jobs", token=token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "precache.identity_service.unavailable")
        assert status(api, AGGREGATES, token) == 503
        assert status(api, AGGREGATES, known) == 200  # remembered
        assert status(api, "/compute/v2.1", None) == 200
        assert status(api, "/v1/jobs", None) == 401
    finally:
        cloud.keystone.start()
    assert status(api, "/v1/jobs", token) == 200


def test_a_silent_keystone_delays_no_caller_for_long(api: CloudApi, cloud: Cloud) -> None:
    token = cloud.keystone.token(cloud.admin)
    with cloud.keystone.paused():
        assert status(api, "/v1/jobs", token) == 503
    wait_until(lambda: status(api, "/v1/jobs", token) == 200)  # it has what piled up to answer first


def write(policy: Path, text: str) -> None:
    """Replace the file in one step, as editors and configuration management do."""
    draft = policy.with_suffix(".new")
    draft.write_text(text)
    draft.replace(policy)
