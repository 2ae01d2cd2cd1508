"""An operator's policy file on a running service: who may do what, and what a change of the file does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.conftest import random_raw
from tests.system.operating import AGGREGATES, NEWEST, aggregate, call, ids
from tools.local_service import LocalService

pytestmark = pytest.mark.system

READER = {"X-Roles": "reader"}
OPEN_TO_READERS = '"precache:jobs:list": "rule:context_is_admin or role:reader"\n'


def status_for_reader(service: LocalService, path: str) -> int:
    return call(service, "GET", path, headers=READER).status_code


def write(policy: Path, text: str) -> None:
    """Replace the file in one step, as editors and configuration management do."""
    draft = policy.with_suffix(".new")
    draft.write_text(text)
    draft.replace(policy)


def test_a_policy_file_opens_one_call_to_readers_and_its_changes_count_at_once(new_service, images, tmp_path):
    random_raw(images / "web.raw", 1)
    policy = tmp_path / "policy.yaml"
    policy.write_text(OPEN_TO_READERS)
    service = new_service()
    service.start({"OS_OSLO_POLICY__POLICY_FILE": str(policy)})
    path = f"{AGGREGATES}/{aggregate(service)}/images"
    body = {"cache": [{"id": ids(service)["web"]}]}

    assert status_for_reader(service, "/v1/jobs") == 200
    assert status_for_reader(service, "/v1/hosts") == 403
    refused = call(service, "POST", path, body, READER | NEWEST)
    assert refused.status_code == 403
    assert refused.json()["forbidden"]["message"] == ("Policy doesn't allow compute:aggregates:images to be performed.")
    assert call(service, "POST", path, body, NEWEST).status_code == 202
    assert call(service, "POST", path, body, {"X-Roles": "reader,admin"} | NEWEST).status_code == 202

    write(policy, '"precache:hosts:list": "role:reader"\n')
    assert status_for_reader(service, "/v1/jobs") == 403
    assert status_for_reader(service, "/v1/hosts") == 200

    write(policy, '"precache:hosts:list": "role:reader or"\n')
    assert status_for_reader(service, "/v1/hosts") == 200  # as before
    assert status_for_reader(service, "/v1/jobs") == 403
    assert service.log.count("the previous rules stay in force") == 1
