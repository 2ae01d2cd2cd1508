"""A growing download as a block device: the read-only server side of the NBD protocol, for one qemu-img process.

A read of bytes that have not arrived yet waits for them; so a conversion overlaps its download. The client inherits its
end of a socket pair: no other process can connect, and if either process dies the other one notices. Source: the NBD
protocol document, fixed newstyle handshake, https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct

from precache.fetch.growing_file import Abandoned, GrowingFile

_GREETING = struct.pack(">QQH", 0x4E42444D41474943, 0x49484156454F5054, 0b11)  # fixed newstyle, no zeroes
_OPTION_MAGIC = 0x49484156454F5054
_OPTION_REPLY_MAGIC = 0x3E889045565A9
_REQUEST_MAGIC = 0x25609513
_REPLY_MAGIC = 0x67446698

_OPTION = struct.Struct(">QII")
_OPTION_REPLY = struct.Struct(">QIII")
_EXPORT = struct.Struct(">QH")
_EXPORT_INFO = struct.Struct(">HQH")
_REQUEST = struct.Struct(">IHHQQI")
_REPLY = struct.Struct(">IIQ")

_OPT_EXPORT_NAME, _OPT_ABORT, _OPT_INFO, _OPT_GO = 1, 2, 6, 7
_REP_ACK, _REP_INFO, _REP_UNSUPPORTED = 1, 3, 0x80000001
_INFO_EXPORT = 0
_FLAGS = 0b11  # has flags, read only
_CMD_READ, _CMD_DISCONNECT = 0, 2
_EPERM, _EIO, _EINVAL = 1, 5, 22

_SECTOR_BYTES = 512
_ENDLESS_BYTES = 1 << 62
_OPTION_LIMIT_BYTES = 4096
_READ_LIMIT_BYTES = 32 << 20  # the protocol's own default


class _Disconnected(Exception):
    """The client has ended, or has sent a message that qemu-img never sends."""


class NbdExport:
    """Serves one client until it disconnects or the download is abandoned. `serve` runs in a thread of its own."""

    def __init__(
        self, *, arriving: GrowingFile, size_bytes: int, connection: socket.socket, cluster_bytes: int | None = None
    ) -> None:
        """size_bytes: of the download. connection: the server's end of the socket pair; closed by `serve`.

        cluster_bytes: the unit in which the client reads data. By the rule of `qemu-img check` the last cluster may be
        truncated; a read beyond it fails, and then `misses_data` is True. None if the client reads zeros beyond the
        end, as it does with a file.
        """
        self._arriving = arriving
        # qemu's client waits for ever for the rest of an incomplete last sector; in a file it reads zeros there.
        self._end = -(-size_bytes // _SECTOR_BYTES) * _SECTOR_BYTES
        self._size_bytes, self._cluster = size_bytes, cluster_bytes
        self._end_of_clusters = -(-size_bytes // (cluster_bytes or 1)) * (cluster_bytes or 1)
        # The client never requests data beyond the end that it was told.
        self._size = self._end if cluster_bytes is None else _ENDLESS_BYTES
        self._connection = connection
        self.misses_data = False

    def serve(self) -> None:
        """Answer the client until it disconnects. Never raises if the client fails: its exit status says why."""
        with (
            self._connection,
            contextlib.suppress(_Disconnected, ConnectionError, Abandoned),
            contextlib.ExitStack() as closing,
        ):
            source = self._arriving.open_reader()
            closing.callback(os.close, source)
            self._handshake()
            while True:
                self._answer(source)

    def _handshake(self) -> None:
        self._connection.sendall(_GREETING)
        self._receive(4)
        while True:
            magic, option, length = _OPTION.unpack(self._receive(_OPTION.size))
            if magic != _OPTION_MAGIC or length > _OPTION_LIMIT_BYTES:
                raise _Disconnected
            self._receive(length)
            if option == _OPT_EXPORT_NAME:
                self._connection.sendall(_EXPORT.pack(self._size, _FLAGS))
                return
            if option in (_OPT_GO, _OPT_INFO):
                self._reply(option, _REP_INFO, _EXPORT_INFO.pack(_INFO_EXPORT, self._size, _FLAGS))
                self._reply(option, _REP_ACK)
                if option == _OPT_GO:
                    return
            elif option == _OPT_ABORT:
                raise _Disconnected
            else:
                self._reply(option, _REP_UNSUPPORTED)

    def _answer(self, source: int) -> None:
        magic, _flags, command, cookie, offset, length = _REQUEST.unpack(self._receive(_REQUEST.size))
        if magic != _REQUEST_MAGIC or command == _CMD_DISCONNECT:
            raise _Disconnected
        if command != _CMD_READ:
            # A write has data after its header, which must not be taken for the next request.
            self._connection.sendall(_REPLY.pack(_REPLY_MAGIC, _EPERM, cookie))
            raise _Disconnected
        if length > _READ_LIMIT_BYTES or offset + length > self._size:
            self._connection.sendall(_REPLY.pack(_REPLY_MAGIC, _EINVAL, cookie))
            return
        if self._is_missing(offset, offset + length):
            self.misses_data = True
            self._connection.sendall(_REPLY.pack(_REPLY_MAGIC, _EIO, cookie))
            return
        self._arriving.wait_for(offset + length)
        self._connection.sendall(_REPLY.pack(_REPLY_MAGIC, 0, cookie), socket.MSG_MORE)
        self._send(source, offset, length)

    def _is_missing(self, start: int, end: int) -> bool:
        return self._cluster is not None and (start >= self._end_of_clusters or end >= self._size_bytes + self._cluster)

    def _send(self, source: int, offset: int, length: int) -> None:
        """Send pages of the file to the client without copying them; beyond the end of the file send zeros."""
        while length:
            sent = os.sendfile(self._connection.fileno(), source, offset, length)
            if not sent:
                self._connection.sendall(bytes(length))
                return
            offset, length = offset + sent, length - sent

    def _reply(self, option: int, kind: int, payload: bytes = b"") -> None:
        self._connection.sendall(_OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, kind, len(payload)) + payload)

    def _receive(self, count: int) -> bytes:
        received = self._connection.recv(count, socket.MSG_WAITALL) if count else b""
        if len(received) < count:
            raise _Disconnected
        return received
