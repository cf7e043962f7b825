"""Messages on a stream socket, each preceded by its length in four bytes, little-endian."""

from __future__ import annotations

import socket
import threading

from google.protobuf.message import DecodeError

from . import _host_pb2 as wire
from ._messages import BrokenContract
from .errors import Code, SkillsetError

# The longest message that may cross between a node and a host, in bytes.
MOST_BYTES = 1 << 30


class Writer:
    """Writes each message as a whole, whoever writes. Thread-safe."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def write(self, message: wire.FromHost) -> None:
        """RESOURCE_EXHAUSTED for a message that is too long. What finds no reader is lost: the process ends then."""
        data = message.SerializeToString()
        if len(data) > MOST_BYTES:
            raise SkillsetError(Code.RESOURCE_EXHAUSTED,
                                f"a message of {len(data)} bytes is too long to cross to the node",
                                f"at most {MOST_BYTES} bytes can")
        with self._lock:
            try:
                self._connection.sendall(len(data).to_bytes(4, "little") + data)
            except OSError:
                pass


class Reader:
    """Reads them, one after the other; for one thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def read(self) -> wire.ToHost | None:
        """The next one; None when the node has closed its end. BrokenContract for what is no message."""
        head = self._read_exactly(4)
        if head is None:
            return None
        length = int.from_bytes(head, "little")
        if length > MOST_BYTES:
            raise BrokenContract(f"a message of {length} bytes")
        data = self._read_exactly(length)
        if data is None:
            return None
        try:
            return wire.ToHost.FromString(data)
        except DecodeError:
            raise BrokenContract("what came is no message") from None

    def _read_exactly(self, size: int) -> bytes | None:
        # Grows with what has come: a length that is a lie costs nothing.
        data = bytearray()
        while len(data) < size:
            try:
                some = self._connection.recv(min(size - len(data), 1 << 20))
            except OSError:
                return None
            if not some:
                return None
            data += some
        return bytes(data)
