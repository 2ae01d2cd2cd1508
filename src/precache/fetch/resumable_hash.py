"""Hashes whose state can be stored, and restored in another process.

With them an image that is decoded while it arrives can be paused: what has arrived is not stored, and cannot be hashed
again. hashlib has no such states. The functions here are those of OpenSSL that hashlib calls, too, with the public
structures of its headers `sha.h` and `md5.h`, which hold nothing but numbers. Once per process each algorithm is
compared with hashlib; a library that differs in anything is not used. As with hashlib, other threads run in a call.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
from collections.abc import Callable
from ctypes import Structure, c_char, c_size_t, c_uint, c_uint8, c_uint32, c_uint64
from dataclasses import dataclass
from functools import cache
from typing import Any

_LIBRARIES = ("libcrypto.so.3", "libcrypto.so.1.1")

_SEPARATOR = ";"

_CONTEXT_BYTES = 1024
"""More than four times what the largest structure needs: a library with larger ones writes into nothing else."""


class _Sha512(Structure):
    _fields_ = (
        ("h", c_uint64 * 8),
        ("low", c_uint64),
        ("high", c_uint64),
        ("data", c_uint8 * 128),
        ("num", c_uint),
        ("md_len", c_uint),
    )


class _Sha256(Structure):
    _fields_ = (
        ("h", c_uint32 * 8),
        ("low", c_uint32),
        ("high", c_uint32),
        ("data", c_uint8 * 64),
        ("num", c_uint),
        ("md_len", c_uint),
    )


class _Sha1(Structure):
    _fields_ = (
        ("h", c_uint32 * 5),
        ("low", c_uint32),
        ("high", c_uint32),
        ("data", c_uint8 * 64),
        ("num", c_uint),
    )


class _Md5(Structure):
    _fields_ = (
        ("h", c_uint32 * 4),
        ("low", c_uint32),
        ("high", c_uint32),
        ("data", c_uint8 * 64),
        ("num", c_uint),
    )


_KINDS: dict[str, tuple[str, type[Structure], int]] = {
    "sha512": ("SHA512", _Sha512, 64),
    "sha384": ("SHA384", _Sha512, 48),
    "sha256": ("SHA256", _Sha256, 32),
    "sha224": ("SHA224", _Sha256, 28),
    "sha1": ("SHA1", _Sha1, 20),
    "md5": ("MD5", _Md5, 16),
}
"""By the names of hashlib: the begin of the functions' names, their structure, and the bytes of the digest."""


@dataclass(frozen=True, slots=True)
class _Functions:
    """Those of one algorithm in one library."""

    library: str
    structure: type[Structure]
    digest_bytes: int
    init: Callable[..., int]
    update: Callable[..., int]
    final: Callable[..., int]


class ResumableHash:
    """One hash as it grows. Used by one thread at a time."""

    def __init__(self, algorithm: str, functions: _Functions) -> None:
        """For `new` and `restore`."""
        self._algorithm, self._functions = algorithm, functions
        self._context = ctypes.create_string_buffer(_CONTEXT_BYTES)
        self._length = 0
        _check(functions.init(self._context))

    @classmethod
    def new(cls, algorithm: str) -> ResumableHash:
        """Return the hash of no bytes. Raises ValueError if `can_be_saved` is False."""
        functions = _checked_functions(algorithm)
        if functions is None:
            raise ValueError(f"the state of {algorithm} cannot be stored here")
        return cls(algorithm, functions)

    @classmethod
    def restore(cls, algorithm: str, state: bytes) -> ResumableHash:
        """Return the hash as it was when `save` returned this.

        Raises ValueError for anything else: of another algorithm, another library or release of it, another processor,
        or with numbers that do not agree with one another, on which a library would write beyond its structure.
        """
        restored = cls.new(algorithm)
        restored._load(state)
        return restored

    @property
    def length_bytes(self) -> int:
        """Return how many bytes were hashed."""
        return self._length

    def update(self, data: memoryview) -> None:
        """Hash the next bytes, which must be contiguous and may not change meanwhile."""
        count = data.nbytes
        if not count:
            return
        _check(self._functions.update(self._context, _pointer(data), c_size_t(count)))
        self._length += count

    def hexdigest(self) -> str:
        """Return the digest of all bytes until now; more may follow."""
        copy = ctypes.create_string_buffer(self._context.raw, _CONTEXT_BYTES)
        digest = ctypes.create_string_buffer(self._functions.digest_bytes)
        _check(self._functions.final(digest, copy))
        return digest.raw.hex()

    def save(self) -> bytes:
        """Return the state as a line of ASCII, for `restore`."""
        functions = self._functions
        context = self._context.raw[: ctypes.sizeof(functions.structure)]
        return _SEPARATOR.join((self._algorithm, functions.library, str(self._length), context.hex())).encode()

    def _load(self, state: bytes) -> None:
        algorithm, library, length_text, context_text = state.decode("ascii").split(_SEPARATOR)
        length, context = int(length_text), bytes.fromhex(context_text)
        is_same = (algorithm, library) == (self._algorithm, self._functions.library)
        if not is_same or not _is_sound(self._functions, context, length):
            raise ValueError("the stored state of the hash is of another library, or damaged")
        ctypes.memmove(self._context, context, len(context))
        self._length = length


def can_be_saved(algorithm: str, libraries: tuple[str, ...] = _LIBRARIES) -> bool:
    """Return whether `ResumableHash` has this algorithm, by its name in hashlib, on this machine.

    libraries: the names of the files of which the first one that can be used counts.
    """
    return _checked_functions(algorithm, libraries) is not None


@cache
def _checked_functions(algorithm: str, libraries: tuple[str, ...] = _LIBRARIES) -> _Functions | None:
    for library in libraries:
        functions = _load_functions(library, algorithm)
        if functions is not None and _agrees_with_hashlib(algorithm, functions):
            return functions
    return None


def _load_functions(library: str, algorithm: str) -> _Functions | None:
    """Return the functions of the algorithm; None if the library or one of them is not there."""
    prefix, structure, digest_bytes = _KINDS.get(algorithm) or ("", Structure, 0)
    try:
        loaded = ctypes.CDLL(library)
        loaded.OpenSSL_version.restype = ctypes.c_char_p
        version = loaded.OpenSSL_version(0).decode()
        init, update, final = (loaded[f"{prefix}_{step}"] for step in ("Init", "Update", "Final"))
    except (OSError, AttributeError):
        return None
    return _Functions(f"{version} {platform.machine()}", structure, digest_bytes, init, update, final)


def _agrees_with_hashlib(algorithm: str, functions: _Functions) -> bool:
    """Return whether a hash that is stored and restored between two pieces is that of hashlib."""
    data = memoryview(bytes(range(251)) * 11)
    for cut in (0, 111, 128, 1000):
        try:
            hashed = ResumableHash(algorithm, functions)
            hashed.update(data[:cut])
            restored = ResumableHash(algorithm, functions)
            restored._load(hashed.save())
            hashed.update(data)  # which must change nothing of the other one
            restored.update(data[cut:])
        except ValueError:
            return False
        if restored.hexdigest() != hashlib.new(algorithm, data, usedforsecurity=False).hexdigest():
            return False
    return True


def _is_sound(functions: _Functions, context: bytes, length: int) -> bool:
    """Return whether the structure has the numbers that belong to this length.

    `num` says where in `data` the library writes next.
    """
    structure = functions.structure
    if len(context) != ctypes.sizeof(structure):
        return False
    found: Any = structure.from_buffer_copy(context)
    half_bits = 8 * structure.low.size
    bits = found.low + (found.high << half_bits)
    has_length = bits == 8 * length and found.num == length % len(found.data)
    return has_length and getattr(found, "md_len", functions.digest_bytes) == functions.digest_bytes


def _pointer(data: memoryview) -> object:
    """Return a pointer to the bytes, for one call."""
    if data.readonly:
        return data.tobytes()
    return ctypes.byref(c_char.from_buffer(data))


def _check(result: int) -> None:
    if result != 1:
        raise ValueError("the library cannot compute this hash")
