"""The port at which a host serves pieces of images, and the address that others are told."""

import socket
import ssl
import threading
from contextlib import contextmanager, suppress

import pytest

from precache.doctor.swarm_port import check_swarm_port, judge_address
from tests.swarm_hosts import SwarmHosts
from tests.unit.doctor.looking import statuses

LOCAL = "127.0.0.1"


@contextmanager
def listening(serve=lambda plain: None):
    """Return the port of a server on loopback."""

    def accept():
        with suppress(OSError), listener.accept()[0] as plain:
            serve(plain)

    with socket.create_server((LOCAL, 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]


def compute_of(host):
    def serve(plain):
        with suppress(ssl.SSLError), trust.server_context().wrap_socket(plain, server_side=True):
            pass

    trust = SwarmHosts().host(host)
    return serve


def examine(configured, *, ports, more=""):
    return list(
        check_swarm_port(
            configured(f"[DEFAULT]\nhost = cmp-1\n[swarm]\nlisten_address = {LOCAL}\nports = {ports}\n{more}")
        )
    )


def test_a_free_port_is_well(configured):
    with socket.create_server((LOCAL, 0)) as listener:
        port = listener.getsockname()[1]

    finding = examine(configured, ports=port)[0]

    assert (finding.status, finding.found) == ("ok", f"port {port} is free for pieces of images to other hosts")


def test_the_port_of_this_hosts_compute_is_well(configured):
    with listening(compute_of("cmp-1")) as port:
        finding = examine(configured, ports=port)[0]

    assert (finding.status, finding.found) == ("ok", f"the compute of this host serves pieces of images at port {port}")


@pytest.mark.parametrize(
    "serve",
    [compute_of("cmp-2"), lambda plain: plain.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), lambda plain: None],
    ids=["another host", "another program", "what hangs up"],
)
def test_a_port_that_another_program_has_is_reported(configured, serve):
    with listening(serve) as port:
        finding = examine(configured, ports=port)[0]

    assert finding.status == "warning"
    assert f"other programs use all of [swarm] ports {port}-{port}" in finding.found
    assert "firewalls" in finding.advice


def test_an_address_of_another_machine_cannot_be_listened_on(configured):
    findings = list(check_swarm_port(configured("[swarm]\nlisten_address = 192.0.2.7\naddress = 192.0.2.7\n")))

    assert statuses(findings) == ["warning", "warning"]
    assert "192.0.2.7: Cannot assign requested address" in findings[0].found
    assert "which is no address of this host" in findings[1].found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "it is not known by which address other hosts reach this one"),
        ("[swarm]\naddress = nowhere.invalid\n", "at nowhere.invalid: "),
        (
            "[DEFAULT]\ntransport_url = rabbit://127.0.0.1:1/cell1\n",
            "at 127.0.0.1, where only this host reaches itself",
        ),
        ("[swarm]\naddress = localhost\n", "at localhost, where only this host reaches itself"),
    ],
)
def test_an_address_that_is_of_no_use_to_others_is_reported(configured, text, found):
    finding = list(check_swarm_port(configured(text)))[1]

    assert finding.status == "warning"
    assert found in finding.found
    assert "set [swarm] address to the IP address of this host" in finding.advice


@pytest.mark.parametrize(
    ("resolved", "listen", "words"),
    [
        ({"192.0.2.7"}, "192.0.2.8", "but it listens on 192.0.2.8 alone"),
        ({"fe80::1%eth0"}, "::", "where only this host reaches itself"),
        ({"169.254.1.1"}, "0.0.0.0", "where only this host reaches itself"),
    ],
)
def test_an_address_at_which_the_host_does_not_listen_is_reported(resolved, listen, words):
    assert words in judge_address("cmp-1", resolved, listen).found
