"""Keystone, Glance and Nova that are away, are something else, or refuse."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.inventory_sql import SqlHosts
from precache.adapters.sql import open_database
from precache.core.errors import InventoryUnavailable
from precache.core.hosts import Heartbeat
from precache.doctor.buses import check_computes_bus, check_notifications, check_own_bus
from precache.doctor.cached_images import check_cached_images
from precache.doctor.clock import check_clock, compare_clocks
from precache.doctor.image_service import check_image_service
from precache.doctor.keystone import check_authtoken, check_service_user
from precache.doctor.nova import check_nova
from tests.lab.certificates import Authority
from tests.lab.played_nova import PlayedNova
from tests.unit.adapters.faulty_server import HOLD, FaultyServer, http
from tests.unit.doctor.conftest import LOGIN
from tests.unit.doctor.looking import only, statuses

NOBODY = "http://127.0.0.1:9"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_no_credentials_are_worth_a_warning(configured):
    assert only(check_service_user(configured())).status == "warning"


def keystone(answer):
    """Return the answers of a Keystone: which version it is, then this one."""
    version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": NOBODY}]}
    # Held, for a connection that is closed before the whole request was read is reset, and its answer lost.
    return http("200 OK", json.dumps({"version": version}).encode()), (answer, HOLD)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (http("401 Unauthorized", b'{"error": {"message": "hush-hush"}}'), "refuses the user or the password"),
        (http("200 OK", b"<html>"), "no Keystone was found"),
        (http("404 Not Found"), "no Keystone was found"),
        (http("503 Oops"), "no Keystone was found"),
    ],
)
def test_a_keystone_that_refuses_is_distinguished_from_another_server(configured, answer, told):
    with FaultyServer(*keystone(answer)) as server:
        finding = only(check_service_user(configured(LOGIN.format(url=f"{server.url}/v3"))))

    assert finding.status == "failed"
    assert told in finding.found
    assert "hush-hush" not in finding.found


def test_a_keystone_that_is_down_is_a_failure(configured):
    finding = only(check_service_user(configured(LOGIN.format(url=f"{NOBODY}/v3"))))

    assert finding.status == "failed"
    assert "Connection refused" in finding.found


def test_a_server_that_wants_a_login_before_all_else_is_no_keystone(configured):
    with FaultyServer(http("401 Unauthorized", b"{}")) as server:
        finding = only(check_service_user(configured(LOGIN.format(url=f"{server.url}/v3"))))

    assert (finding.status, "no Keystone was found" in finding.found) == ("failed", True)


def test_callers_need_the_middlewares_credentials(configured):
    keystone, noauth = configured("[api]\nauth_strategy = keystone\n"), configured("[api]\nauth_strategy = noauth\n")

    assert only(check_authtoken(keystone)).status == "failed"
    assert only(check_authtoken(noauth)).status == "skipped"


def test_the_middlewares_credentials_are_tried(configured):
    text = LOGIN.format(url=f"{NOBODY}/v3").replace("service_user", "keystone_authtoken")

    finding = only(check_authtoken(configured(text)))

    assert finding.status == "failed"
    assert "[keystone_authtoken] auth_url" in finding.advice


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (http("200 OK", b'{"images": []}'), "ok", "lists images"),
        (http("200 OK", b"<html>"), "failed", "no Glance"),
        (http("404 Not Found"), "failed", "no Glance"),
        (http("403 Forbidden"), "failed", "refuses to list images"),
        (http("503 Oops"), "failed", "HTTP status 503"),
    ],
)
def test_glance_is_asked_for_an_image(configured, answer, status, told):
    with FaultyServer(answer) as server:
        finding = only(check_image_service(configured(f"[glance]\nendpoint_override = {server.url}/v2\n")))

    assert (finding.status, told in finding.found) == (status, True)
    assert server.requests[0].startswith("GET /v2/images?limit=1 ")


def test_a_glance_that_is_down_or_nowhere_is_a_failure(configured):
    away = only(check_image_service(configured(f"[glance]\nendpoint_override = {NOBODY}\n")))
    nowhere = only(check_image_service(configured()))

    assert (away.status, "Connection refused" in away.found) == ("failed", True)
    assert (nowhere.status, "catalogue has no image service" in nowhere.found) == ("failed", True)


def test_a_keystone_that_is_down_is_not_reported_as_glance(configured):
    for glance in ("", f"[glance]\nendpoint_override = {NOBODY}\n"):
        finding = only(check_image_service(configured(LOGIN.format(url="http://127.0.0.1:1/v3") + glance)))

        assert finding.status == "failed"
        assert finding.found.startswith("Glance was not checked: Keystone cannot be reached: ")
        assert "[service_user] auth_url" in finding.advice


@pytest.mark.parametrize("look", [check_service_user, check_authtoken, check_image_service])
def test_a_certificate_that_is_not_accepted_says_where_to_name_its_authority(configured, look, tmp_path):
    section = "keystone_authtoken" if look is check_authtoken else "service_user"
    with FaultyServer(http("200 OK"), context=Authority(tmp_path).certificate("127.0.0.1").context()) as server:
        text = LOGIN.format(url=f"{server.url}/v3").replace("service_user", section)
        finding = only(look(configured(f"{text}[api]\nauth_strategy = keystone\n")))

    assert finding.status == "failed"
    assert f"name the authority that signed it in [{section}] cafile" in finding.found


def test_each_of_several_endpoints_of_glance_is_asked(configured):
    with FaultyServer(http("200 OK", b'{"images": []}')) as server:
        findings = list(check_image_service(configured(f"[glance]\nendpoint_override = {NOBODY}, {server.url}\n")))

    assert [finding.status for finding in findings] == ["failed", "ok"]


def test_without_credentials_the_status_of_cached_images_stays_unknown(configured):
    unknown = only(check_cached_images(configured()))
    never = only(check_cached_images(configured("[inventory]\nimage_status_interval = 0\n")))

    assert (unknown.status, "stays unknown" in unknown.found) == ("warning", True)
    assert never.status == "skipped"


def test_an_image_service_without_keystone_lists_all_images(configured):
    with FaultyServer(http("200 OK", b'{"images": []}')) as server:
        finding = only(check_cached_images(configured(f"[glance]\nendpoint_override = {server.url}\n")))

    assert finding.status == "ok"


@pytest.mark.parametrize(("role", "found"), [("admin", ["ok"]), ("member", ["ok", "warning"])])
def test_only_an_administrator_is_shown_which_images_are_gone(configured, role, found):
    token = {"token": {"roles": [{"name": role}], "expires_at": "2999-01-01T00:00:00.000000Z", "catalog": []}}
    issued = http("201 Created", json.dumps(token).encode(), X_Subject_Token="token")
    version, _ = keystone(issued)
    with (
        FaultyServer(http("200 OK", b'{"images": []}')) as glance,
        FaultyServer(version, issued, version, issued) as login,
    ):
        text = LOGIN.format(url=f"{login.url}/v3") + f"[glance]\nendpoint_override = {glance.url}\n"
        findings = list(check_cached_images(configured(text)))

    assert statuses(findings) == found
    assert all("is shown as unknown" in finding.found for finding in findings[1:])


def test_nova_is_not_checked_if_the_inventory_is_local(configured):
    assert only(check_nova(configured())).status == "skipped"


def test_hosts_and_computes_without_a_match_are_named(configured, sqlite_url):
    database = open_database(sqlite_url)
    SqlHosts(database=database).store_heartbeats([Heartbeat("cmp-1", "cell1", "libvirt", NOW)])
    database.close()
    with PlayedNova() as nova:
        nova.add_compute("cmp-1.example.org")
        findings = list(check_nova(configured(on_nova(nova.url, sqlite_url))))

    assert statuses(findings) == ["ok", "warning", "warning"]
    assert findings[0].found == "Nova lists 0 aggregates and 1 hosts"
    assert "ever sent a heartbeat: cmp-1.example.org" in findings[1].found
    assert "unknown to Nova: cmp-1" in findings[2].found


def test_a_nova_that_is_down_is_a_failure(configured, sqlite_url):
    with pytest.raises(InventoryUnavailable, match="Connection refused"):
        list(check_nova(configured(on_nova(NOBODY, sqlite_url))))


def on_nova(url, sqlite_url):
    return f"[inventory]\nsource = nova\n[nova]\nendpoint_override = {url}\n[database]\nconnection = {sqlite_url}\n"


def test_a_bus_that_is_down_is_named_without_its_password(configured):
    config = configured("[DEFAULT]\ntransport_url = rabbit://precache:hush-hush@127.0.0.1:9/cell1\n")

    for look in (check_own_bus, check_computes_bus):
        finding = only(look(config))
        assert finding.status == "failed"
        assert "127.0.0.1:9/cell1" in finding.found
        assert finding.advice == "start the broker or correct the transport URL"
        assert "hush-hush" not in finding.found


def test_buses_that_are_not_configured_are_skipped(configured):
    assert statuses([*check_own_bus(configured()), *check_notifications(configured())]) == ["skipped", "skipped"]


@pytest.mark.parametrize(
    ("behind", "status"),
    [(timedelta(), "ok"), (timedelta(seconds=9), "ok"), (timedelta(seconds=11), "warning"),
     (timedelta(seconds=-11), "warning")],
)  # fmt: skip
def test_a_clock_that_is_wrong_is_worth_a_warning(behind, status):
    assert compare_clocks("Sun, 01 Mar 2026 12:00:00 GMT", NOW + behind, timedelta(seconds=10)).status == status


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_server_that_does_not_say_the_time_is_no_clock(date):
    assert compare_clocks(date, NOW, timedelta(seconds=10)).status == "skipped"


def test_the_clock_is_compared_with_keystones(configured):
    with FaultyServer(http("300 Multiple", b"{}", Date="Sun, 01 Mar 2020 12:00:00 GMT")) as server:
        assert only(check_clock(configured(LOGIN.format(url=server.url)))).status == "warning"
    assert only(check_clock(configured())).status == "skipped"
