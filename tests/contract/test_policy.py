"""What every `Policy` does, and what the one on oslo.policy does with an operator's file."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from precache.adapters.policy_oslo import OsloPolicy, render_sample
from precache.api.policies import RULES
from precache.core.errors import InvalidConfiguration
from precache.ports.policy import Caller, PolicyRule

IMAGES = "compute:aggregates:images"
ADMIN = Caller(user_id="alice", project_id="cloud", roles=("reader", "admin"))
MEMBER = Caller(user_id="bob", project_id="tenant", roles=("member",))
NOBODY = Caller(user_id="", project_id="", roles=())
TENANT_READER = Caller(user_id="carol", project_id="tenant", roles=("reader",))
READERS = (
    Caller(user_id="dave", project_id="cloud", roles=("precache_reader",)),
    Caller(user_id="erin", project_id="", roles=("reader", "member"), system_scope="all"),
)

GUARDING = [rule.name for rule in RULES if rule.operations]
LOOKING = [rule.name for rule in RULES if rule.operations and all(method == "GET" for method, _ in rule.operations)]
CHANGING = sorted(set(GUARDING) - set(LOOKING))


@pytest.fixture
def policy():
    return OsloPolicy(rules=RULES, policy_file=None)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes the policy file and gives its path."""
    path = tmp_path / "policy.yaml"

    def put(text: str):
        # A new file each time: neither its size nor a coarse clock may hide the change.
        fresh = tmp_path / "fresh"
        fresh.write_text(text)
        return fresh.replace(path)

    return put


@pytest.mark.parametrize("rule", GUARDING)
def test_by_default_an_administrator_passes_and_no_tenant(policy, rule):
    assert policy.allows(ADMIN, rule)
    assert not policy.allows(MEMBER, rule)
    assert not policy.allows(TENANT_READER, rule)
    assert not policy.allows(NOBODY, rule)


@pytest.mark.parametrize("reader", READERS, ids=["by a role of its own", "of the whole system"])
def test_by_default_a_reader_of_the_cloud_looks_and_changes_nothing(policy, reader):
    assert {rule for rule in GUARDING if policy.allows(reader, rule)} == set(LOOKING)
    assert len(LOOKING) == 9
    assert IMAGES in CHANGING


def test_undefined_rule_allows_no_caller(policy):
    assert not policy.allows(ADMIN, "precache:jobs:delete")


def test_file_overrides_the_defaults(write):
    policy = OsloPolicy(rules=RULES, policy_file=write(f'"{IMAGES}": "role:member"'))

    assert policy.allows(MEMBER, IMAGES)
    assert not policy.allows(ADMIN, IMAGES)
    assert policy.allows(ADMIN, "precache:jobs:list")


def test_one_line_redefines_who_is_an_administrator(write):
    policy = OsloPolicy(rules=RULES, policy_file=write('"context_is_admin": "role:operator or user_id:bob"'))

    assert policy.allows(MEMBER, IMAGES)
    assert not policy.allows(ADMIN, IMAGES)


def test_rules_of_other_services_in_a_shared_file_do_no_harm(write):
    policy = OsloPolicy(rules=RULES, policy_file=write('"os_compute_api:servers:create": "rule:project_member"'))

    assert policy.allows(ADMIN, IMAGES)


def test_empty_file_leaves_the_defaults(write):
    policy = OsloPolicy(rules=RULES, policy_file=write("# nothing\n"))

    assert policy.allows(ADMIN, IMAGES)
    assert not policy.allows(MEMBER, IMAGES)


def test_changed_file_counts_from_the_next_question_on(write):
    policy = OsloPolicy(rules=RULES, policy_file=write(f'"{IMAGES}": "role:member"'))
    assert policy.allows(MEMBER, IMAGES)

    write(f'"{IMAGES}": "role:operator"')

    assert not policy.allows(MEMBER, IMAGES)


def test_file_that_breaks_later_leaves_the_rules_from_before_and_is_logged_once(write, caplog):
    policy = OsloPolicy(rules=RULES, policy_file=write(f'"{IMAGES}": "role:member"'))

    write("[")

    assert policy.allows(MEMBER, IMAGES)
    assert policy.allows(MEMBER, IMAGES)
    ours = [record.levelno for record in caplog.records if record.name.startswith("precache")]
    assert ours == [logging.ERROR]
    assert "previous rules stay in force" in caplog.text


def test_file_that_vanishes_leaves_the_rules_from_before(write):
    path = write(f'"{IMAGES}": "role:member"')
    policy = OsloPolicy(rules=RULES, policy_file=path)

    path.unlink()

    assert policy.allows(MEMBER, IMAGES)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "is not YAML"),
        ("- x", "must hold lines such as"),
        (f'"{IMAGES}": 5', f"the rule of {IMAGES} cannot be understood: 5"),
        (f'"{IMAGES}": "role:admin or"', f"the rule of {IMAGES} cannot be understood: 'role:admin or'"),
        (f'"{IMAGES}": "everybody"', f"the rule of {IMAGES} cannot be understood: 'everybody'"),
        (f'"{IMAGES}": "rule:nobody_wrote_it"', f"{IMAGES} refers to a rule that is not defined, or to itself"),
        ('"context_is_admin": "rule:context_is_admin"', "context_is_admin refers to a rule that is not defined"),
    ],
)
def test_file_that_cannot_be_meant_stops_the_start_with_one_sentence(write, caplog, text, sentence):
    path = write(text)

    with pytest.raises(InvalidConfiguration) as caught:
        OsloPolicy(rules=RULES, policy_file=path)

    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caplog.records == []


def test_file_that_is_not_there_stops_the_start(tmp_path):
    with pytest.raises(InvalidConfiguration, match="cannot be read: No such file or directory"):
        OsloPolicy(rules=RULES, policy_file=tmp_path / "policy.yaml")


def test_file_that_is_no_text_stops_the_start(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(InvalidConfiguration, match="is not text in UTF-8"):
        OsloPolicy(rules=RULES, policy_file=path)


def test_sample_shows_every_rule_as_it_is_and_changes_nothing(write):
    sample = render_sample(RULES)

    assert all(f'#"{rule.name}": "{rule.check}"' in sample for rule in RULES)
    assert "# POST  /compute/v2.1/os-aggregates/{aggregate_id}/images" in sample
    assert max(len(line) for line in sample.splitlines() if line.startswith("# ")) <= 100
    assert OsloPolicy(rules=RULES, policy_file=write(sample)).allows(ADMIN, IMAGES)


def test_sample_without_its_comment_signs_means_the_same(write):
    lines = render_sample(RULES).splitlines()
    text = "\n".join(line.removeprefix("#") if line.startswith('#"') else line for line in lines)

    policy = OsloPolicy(rules=RULES, policy_file=write(text))

    assert policy.allows(ADMIN, IMAGES)
    assert not policy.allows(MEMBER, IMAGES)


@pytest.mark.parametrize("word", ["project_id", "user_id", "domain_id", "project_domain_id"])
def test_rule_about_an_owner_lets_no_caller_in_because_nothing_here_has_an_owner(write, word):
    owner = f'"admin_or_owner": "role:admin or {word}:%({word})s"\n"{IMAGES}": "rule:admin_or_owner"'
    policy = OsloPolicy(rules=RULES, policy_file=write(owner))
    caller = replace(MEMBER, domain_id="corp", project_domain_id="corp")

    assert not policy.allows(caller, IMAGES)
    assert policy.allows(ADMIN, IMAGES)


def test_rule_may_name_a_project(write):
    policy = OsloPolicy(rules=RULES, policy_file=write(f'"{IMAGES}": "project_id:tenant"'))

    assert policy.allows(MEMBER, IMAGES)
    assert not policy.allows(ADMIN, IMAGES)


def test_rule_may_use_the_callers_domains(write):
    checks = ("user_domain_id:default", "project_domain_id:default", "domain_id:corp", "system_scope:all")
    caller = Caller(
        user_id="alice",
        project_id="",
        roles=(),
        user_domain_id="default",
        project_domain_id="default",
        domain_id="corp",
        system_scope="all",
    )
    policy = OsloPolicy(rules=[PolicyRule(check, check, "") for check in checks], policy_file=None)

    assert all(policy.allows(caller, check) for check in checks)
    assert not any(policy.allows(MEMBER, check) for check in checks)
