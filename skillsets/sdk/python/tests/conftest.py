"""A server of a skillset in this process, and the node's side of its conversation, one message after the other."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from troupe_skillset import Parameter, Request, Skillset, Tensor
from troupe_skillset import _host_pb2 as wire
from troupe_skillset._messages import parameter_to_wire, request_to_wire
from troupe_skillset._server import Exit, Server

# Nothing here takes long. Only what hangs takes this long.
PATIENCE = 60.0


class NodeSide:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        connection.settimeout(PATIENCE)

    def send_bytes(self, data: bytes) -> None:
        self.connection.sendall(data)

    def say(self, message: wire.ToHost) -> None:
        data = message.SerializeToString()
        self.send_bytes(len(data).to_bytes(4, "little") + data)

    def next(self) -> wire.FromHost:
        return wire.FromHost.FromString(self._read(int.from_bytes(self._read(4), "little")))

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            some = self.connection.recv(size - len(data))
            if not some:
                raise EOFError("the host is gone")
            data += some
        return data

    def load(self, options: Mapping[str, Parameter] | None = None) -> wire.FromHost:
        self.say_load(options)
        return self.next()

    def say_load(self, options: Mapping[str, Parameter] | None = None) -> None:
        load = wire.Load(name="model", folder="/models/model", files={"weights": "/models/model/w"}, device="CPU",
                         instances=2, threads=3)
        for name, value in (options or {}).items():
            parameter_to_wire(value, load.options[name])
        self.say(wire.ToHost(load=load))

    def run(self, *requests: Request) -> None:
        self.say(wire.ToHost(run=wire.Run(items=map(request_to_wire, requests))))

    def cancel(self, item: int | None = None) -> None:
        self.say(wire.ToHost(cancel=wire.Cancel(item=item)))

    def answers(self) -> tuple[list[wire.Answer], wire.Done]:
        """All of a batch, up to its Done."""
        answers = []
        while not (message := self.next()).HasField("done"):
            assert message.HasField("answer")
            answers.append(message.answer)
        return answers, message.done


class Host:
    """A server that has said Hello, and how it ended."""

    def __init__(self, skillset: Skillset) -> None:
        here, there = socket.socketpair()
        self._connection = there
        self.node = NodeSide(here)
        self.hello = wire.Hello()
        self.over = threading.Event()  # where a process would end
        self._ended: list[Exit] = []
        self._thread = threading.Thread(target=self._serve, args=(skillset,), daemon=True)
        self._thread.start()

    def _serve(self, skillset: Skillset) -> None:
        self._ended.append(Server(self._connection, lambda how: self.over.set()).serve(skillset))

    def exit(self) -> Exit:
        """How it ended."""
        self._thread.join(PATIENCE)
        [how] = self._ended
        return how

    def close(self) -> Exit:
        self.node.connection.close()
        return self.exit()


@pytest.fixture
def host() -> Iterator[Callable[[Skillset], Host]]:
    """Makes hosts that have said Hello."""
    hosts = []

    def make(skillset: Skillset) -> Host:
        made = Host(skillset)
        hosts.append(made)
        made.hello = made.node.next().hello
        return made

    yield make
    for made in hosts:
        made.node.connection.close()


def number(value: float, **parameters: Parameter) -> Request:
    return Request([Tensor.of("in", "FP32", [value])], parameters)


def values_of(answer: wire.Answer) -> Sequence[float]:
    [output] = answer.response.outputs
    return Tensor(output.name, output.datatype, tuple(output.shape), output.data).values().tolist()
