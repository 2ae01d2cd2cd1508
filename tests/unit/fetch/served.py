"""A complete file behind an NBD export, for whatever client a test brings."""

from __future__ import annotations

import socket
import struct
import threading

from precache.fetch.blocks import BLOCK_BYTES, Block
from precache.fetch.growing_file import GrowingFile
from precache.fetch.nbd_export import NbdExport
from precache.fetch.sparse_file import SparseFile

HANDSHAKE = struct.pack(">I", 0b11)
EXPORT_NAME = struct.pack(">QII", 0x49484156454F5054, 1, 0)
GREETING_BYTES, EXPORT_BYTES, REPLY_BYTES = 18, 10, 16


class Served:
    """A complete file behind an export; `theirs` is the client's end."""

    def __init__(self, path, data, **options):
        self.file = SparseFile(path, direct=False)
        arriving = GrowingFile(file=self.file, size_bytes=len(data))
        block = Block()
        for offset in range(0, len(data), BLOCK_BYTES):
            piece = data[offset : offset + BLOCK_BYTES]
            block.offset, block.length = offset, len(piece)
            block.view[: len(piece)] = piece
            arriving.append(block)
        arriving.finish()
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(10)
        self.export = NbdExport(arriving=arriving, size_bytes=len(data), connection=ours, **options)
        self.thread = threading.Thread(target=self.export.serve, daemon=True)
        self.thread.start()

    def close(self):
        self.theirs.close()
        self.thread.join(10)
        self.file.close()
        assert not self.thread.is_alive()

    def enter(self):
        self.theirs.recv(GREETING_BYTES, socket.MSG_WAITALL)
        self.theirs.sendall(HANDSHAKE + EXPORT_NAME)
        return struct.unpack(">QH", self.theirs.recv(EXPORT_BYTES, socket.MSG_WAITALL))

    def request(self, command, offset, length, magic=0x25609513):
        self.theirs.sendall(struct.pack(">IHHQQI", magic, 0, command, 77, offset, length))

    def reply(self):
        return struct.unpack(">IIQ", self.theirs.recv(REPLY_BYTES, socket.MSG_WAITALL))
