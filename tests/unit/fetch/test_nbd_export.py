"""The NBD export against qemu's own tools, and against a client that misbehaves."""

import contextlib
import socket
import struct
import subprocess

import pytest

from tests.unit.fetch.served import GREETING_BYTES, HANDSHAKE, Served


@pytest.fixture
def served(tmp_path, disk_bytes):
    served = Served(tmp_path / "download", disk_bytes[:-100])
    yield served
    served.close()


def qemu_io(served, *commands):
    arguments = [argument for command in commands for argument in ("-c", command)]
    target = "driver=raw,file.driver=nbd,file.server.type=fd,file.server.str=0"
    command = ["qemu-io", "-r", "--image-opts", *arguments, target]
    return subprocess.run(command, stdin=served.theirs, capture_output=True, text=True, timeout=30)


def test_qemu_reads_what_arrived_from_every_place(served):
    result = qemu_io(served, "read -P 0 0 1M", f"read -P 0 {2 << 20} 512", "read 1000448 2M", "length")

    assert "read 2097152/2097152 bytes" in result.stdout
    assert "Pattern verification failed" not in result.stdout
    assert result.returncode == 0


def test_size_is_rounded_up_to_sectors(served, disk_bytes):
    size, flags = served.enter()

    assert size == len(disk_bytes)
    assert flags == 0b11


def test_read_gives_the_bytes_and_its_own_cookie(served, disk_bytes):
    served.enter()
    served.request(0, (1 << 20) + 5, 10)

    assert served.reply() == (0x67446698, 0, 77)
    assert served.theirs.recv(10, socket.MSG_WAITALL) == disk_bytes[(1 << 20) + 5 : (1 << 20) + 15]


@pytest.mark.parametrize(("offset", "length"), [(6 << 20, 1), (0, 64 << 20), (2**63, 1)])
def test_read_outside_is_an_error_and_the_connection_continues(served, offset, length):
    served.enter()
    served.request(0, offset, length)
    assert served.reply()[1] == 22

    served.request(0, 0, 1)
    assert served.reply()[1] == 0


def test_write_is_refused(served):
    served.enter()
    served.request(1, 0, 512)

    assert served.reply()[1] == 1
    assert served.theirs.recv(1) == b""


@pytest.mark.parametrize(
    "words", [b"x" * 64, HANDSHAKE + b"y" * 64, HANDSHAKE + struct.pack(">QII", 0x49484156454F5054, 7, 2**31)]
)
def test_client_with_another_protocol_is_disconnected(served, words):
    served.theirs.sendall(words)
    served.theirs.recv(GREETING_BYTES, socket.MSG_WAITALL)

    with contextlib.suppress(ConnectionResetError):
        assert served.theirs.recv(1) == b""


def test_bad_request_ends_the_conversation(served):
    served.enter()
    served.request(0, 0, 1, magic=1)

    assert served.theirs.recv(1) == b""


def test_disconnect_ends_the_conversation(served):
    served.enter()
    served.request(2, 0, 0)

    assert served.theirs.recv(1) == b""


@pytest.mark.parametrize(
    ("read", "misses"),
    [
        ("read -P 120 0 512", False),
        ("read -P 0 1024 1024", False),
        ("read 2048 512", True),
        ("read 1024 2560", True),
    ],
)
def test_read_of_data_beyond_the_end_fails_and_is_recorded(tmp_path, read, misses):
    served = Served(tmp_path / "download", b"x" * 1000, cluster_bytes=2048)

    result = qemu_io(served, read)
    served.close()

    assert served.export.misses_data is misses
    assert ("Input/output error" in result.stdout + result.stderr) is misses
    assert "Pattern verification failed" not in result.stdout
