"""Which checks are made where."""

import pytest

from precache.doctor.callers import check_policy
from precache.doctor.cells import check_pins
from precache.doctor.roles import checks_for, likely_roles
from tests.unit.doctor.looking import only

DEPLOYED = ("api", "conductor", "compute")


def test_a_machine_with_a_database_is_a_controller(configured, tmp_path):
    config = configured(f"[DEFAULT]\ninstances_path = {tmp_path}/none\n[database]\nconnection = sqlite:////x\n")

    assert likely_roles(config) == ("api", "conductor")


def test_a_machine_without_a_database_is_a_host(configured, tmp_path):
    assert likely_roles(configured(f"[DEFAULT]\ninstances_path = {tmp_path}/none\n")) == ("compute",)


def test_a_machine_with_both_is_both(configured, tmp_path):
    config = configured(f"[DEFAULT]\ninstances_path = {tmp_path}\n[database]\nconnection = sqlite:////x\n")

    assert likely_roles(config) == DEPLOYED


def test_what_concerns_two_processes_is_looked_at_once(configured):
    names = [check.name for check in checks_for(DEPLOYED, configured())]

    assert len(names) == len(set(names))
    assert {"database", "cells", "caller identification", "locks"} <= set(names)


def test_a_host_whose_hypervisor_keeps_no_files_needs_no_directory(configured):
    names = {check.name for check in checks_for(["compute"], configured("[compute]\nvirt_driver = uncached\n"))}

    assert "image service" in names
    assert not names & {"locks", "image cache", "qemu-img"}


@pytest.mark.parametrize(("exists", "status"), [(True, "ok"), (False, "failed")])
def test_a_policy_file_must_be_there(configured, tmp_path, exists, status):
    file = tmp_path / "policy.yaml"
    if exists:
        file.write_text("")

    assert only(check_policy(configured(f"[oslo_policy]\npolicy_file = {file}\n"))).status == status
    assert only(check_policy(configured())).status == "skipped"


@pytest.mark.parametrize(("pin", "status"), [("1.0", "warning"), ("0.9", "failed"), ("2.0", "failed")])
def test_a_pin_is_reported_with_its_effect(configured, pin, status):
    finding = only(check_pins(configured(f"[upgrade_levels]\ncompute = {pin}\n")))

    assert (finding.status, f"at version {pin}" in finding.found) == (status, True)
    assert "restart the conductors" in finding.advice


def test_without_a_pin_nothing_is_reported(configured):
    assert only(check_pins(configured())).status == "skipped"
