"""Peers that don't speak the protocol, or leave in the middle of it, harm nobody else."""

import os
import random
import signal
import socket
import subprocess
import sys

import grpc
import pytest

from messages import fails, numbers, raw_request
from node import PATIENCE

SETTINGS = {"log_level": "trace", "slots": 1}
# The preface of HTTP/2, and an empty SETTINGS frame.
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@pytest.fixture(autouse=True)
def afterwards_a_good_request_is_answered(client):
    yield
    assert client.infer("identity", numbers(1, 2)).as_numpy("output").tolist() == [1, 2]


def noise(size):
    return random.Random(size).randbytes(size)


def messages_that_are_none():
    good = raw_request("identity", ("input", "FP32", [2], bytes(8)), id="an id").SerializeToString()
    return {
        "nothing but noise": noise(1000),
        "half a message": good[:-5],
        "a length past the end": b"\x0a\xff\xff\xff\xff\x07identity",
        "a name that is not UTF-8": good.replace(b"identity", b"\xff" * 8),
        "an id that is not UTF-8": good.replace(b"an id", b"\xc3\x28\xff\xfe\x80"),
    }


@pytest.mark.parametrize("case", messages_that_are_none())
def test_a_message_that_is_none_gets_an_error(node, case):
    with grpc.insecure_channel(node.address) as channel:
        with pytest.raises(grpc.RpcError) as failure:
            channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(messages_that_are_none()[case])
    # gRPC answers this by itself: its callback API up to 1.51 with the first, its others with the second.
    assert failure.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INTERNAL)


def test_an_empty_message_names_no_model(node):
    with grpc.insecure_channel(node.address) as channel:
        with fails("NOT_FOUND", "''"):
            channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(b"")


@pytest.mark.parametrize("sent", [noise(1 << 20), b"GET / HTTP/1.1\r\n\r\n", HELLO + noise(1 << 16), HELLO],
                         ids=["noise", "HTTP/1", "HTTP/2 and noise", "HTTP/2 and no more"])
def test_a_connection_that_speaks_something_else_ends_alone(node, sent):
    host, port = node.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), PATIENCE) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        except OSError:
            pass  # the node has closed it already


def test_connections_that_say_nothing_cost_nobody_anything(node, client):
    host, port = node.address.rsplit(":", 1)
    silent = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(100)]
    assert client.is_server_live()
    for connection in silent:
        connection.close()


CLIENT = """
import sys
import grpc
from messages import slow_request, stub_of
with stub_of(sys.argv[1]) as stub:
    calls = [stub.ModelInfer.future(slow_request(600_000, id="orphan")) for _ in range(4)]
    calls[0].result()
"""


def test_what_a_killed_client_asked_for_is_cancelled(make_node):
    node = make_node(log_level="trace").start().wait_ready()
    client = subprocess.Popen([sys.executable, "-c", CLIENT, node.address], cwd=os.path.dirname(__file__))
    try:
        node.log.wait_for("admitted", 4)
    finally:
        client.send_signal(signal.SIGKILL)
        client.wait()
    orphans = node.log.wait_for("request", 4, id="orphan")
    assert {orphan["code"] for orphan in orphans} == {"CANCELLED"}
