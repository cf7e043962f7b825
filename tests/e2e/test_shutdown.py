"""A node that is asked to stop finishes what it has taken on, takes on nothing more, and ends."""

import collections
import signal
import threading
from datetime import datetime

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2_grpc

from messages import begin, fails, numbers, slow_request, status_of, stub_of, tensor
from node import PATIENCE, Counts

BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
CONCURRENCY = 32


class Load:
    """Clients that send a request, await the answer and send the next, until one of theirs fails."""

    def __init__(self, address):
        self.answers = collections.Counter()
        self.enough = threading.Event()
        self._lock = threading.Lock()
        self._clients = [threading.Thread(target=self._send, args=(address,)) for _ in range(CONCURRENCY)]
        for client in self._clients:
            client.start()

    def _send(self, address):
        # A channel each, or gRPC would let them all share one connection.
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            status = "OK"
            while status == "OK":
                status = status_of(stub.ModelInfer.future(slow_request(5)))
                self._count(status)

    def _count(self, status):
        with self._lock:
            self.answers[status] += 1
            if self.answers["OK"] >= 10 * CONCURRENCY:
                self.enough.set()

    def join(self):
        for client in self._clients:
            client.join(PATIENCE)
        return self.answers


@BOTH
def test_no_request_that_was_admitted_is_lost_when_a_node_under_load_stops(make_node, number):
    node = make_node({"identity": 'skillset = "identity"\ninstances = 2\n'}, log_level="info").start().wait_ready()
    load = Load(node.address)
    assert load.enough.wait(PATIENCE)
    node.signal(number)
    assert node.wait() == 0
    answers = load.join()
    admitted = answers.pop("OK")
    assert node.counts("identity") == Counts(admitted=admitted, executed=admitted, refused=0, withdrawn=0)
    # What arrives in the moment in which gRPC's server closes gets CANCELLED from gRPC itself, and no answer of ours.
    assert answers["UNAVAILABLE"] > 0 and answers.keys() <= {"UNAVAILABLE", "CANCELLED"}
    assert answers.total() == CONCURRENCY


@BOTH
def test_what_runs_and_what_waits_is_answered_before_the_end(make_node, number):
    node = make_node(slots=1, log_level="trace").start().wait_ready()
    with stub_of(node.address) as stub:
        calls = [stub.ModelInfer.future(slow_request(300)) for _ in range(4)]
        node.log.wait_for("admitted", 4)
        node.signal(number)
        assert [status_of(call) for call in calls] == ["OK"] * 4
        assert node.wait() == 0
    assert node.counts("identity") == Counts(admitted=4, executed=4, refused=0, withdrawn=0)


def test_while_a_node_drains_new_requests_are_unavailable(make_node):
    node = make_node(log_level="trace").start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        _, answer = begin(client, "identity", numbers(), parameters={"delay_ms": 2000})
        node.log.wait_for("executing")
        node.signal()
        node.log.wait_for("draining", gateway="grpc")
        with fails("UNAVAILABLE", "shutting down"):
            client.infer("identity", numbers())
        assert client.is_server_live() and not client.is_server_ready()
        assert answer.result(PATIENCE).as_numpy("output").size == 2
    assert node.wait() == 0


def test_what_outlasts_the_drain_is_unavailable_and_the_end_in_order(make_node):
    node = make_node(slots=1, drain="100ms", log_level="trace").start().wait_ready()
    with stub_of(node.address) as stub:
        calls = [stub.ModelInfer.future(slow_request(600_000)) for _ in range(4)]
        node.log.wait_for("admitted", 4)
        node.log.wait_for("executing")
        node.signal()
        assert [status_of(call) for call in calls] == ["UNAVAILABLE"] * 4
        assert "shutting down" in calls[0].details()
    assert node.wait() == 0
    assert node.counts("identity") == Counts(admitted=4, executed=1, refused=0, withdrawn=3)


@BOTH
def test_a_second_signal_skips_the_drain(make_node, number):
    node = make_node(drain="600s", log_level="trace").start().wait_ready()
    with stub_of(node.address) as stub:
        call = stub.ModelInfer.future(slow_request(600_000))
        node.log.wait_for("executing")
        node.signal(number)
        node.log.wait_for("draining", gateway="grpc")
        assert not call.done()
        node.signal(number)
        assert status_of(call) == "UNAVAILABLE"
    assert node.wait() == 0
    assert node.counts("identity") == Counts(admitted=1, executed=1, refused=0, withdrawn=0)


def test_a_client_that_stays_connected_does_not_keep_a_node_from_stopping(make_node):
    node = make_node(drain="600s").start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        assert client.is_server_live()
        assert node.stop() == 0


def test_a_large_answer_shortly_before_does_not_delay_the_end(make_node):
    node = make_node().start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        client.infer("identity", [tensor("input", np.zeros(4 << 20, np.float32))])
    assert node.stop() == 0
    [asked], [ended] = node.log.events("signal"), node.log.events("node stopped")
    # gRPC sleeps ten seconds after a large answer if its threads are joined; what is left to do takes milliseconds.
    assert (datetime.fromisoformat(ended["time"]) - datetime.fromisoformat(asked["time"])).total_seconds() < 8


@BOTH
def test_a_node_that_is_still_loading_stops_too(make_node, minilm, number):
    node = make_node({})
    files = [file for file in minilm.iterdir() if file.name != "model.toml"]
    node.write_model("minilm", (minilm / "model.toml").read_text(), files)
    node.start()
    node.log.wait_for("device ready")
    node.signal(number)
    assert node.wait() == 0
    assert [line for line in node.log.lines if line.startswith("troupe-node: ")] == []


@BOTH
def test_a_node_that_still_asks_what_a_skillset_is_stops_too(make_node, number):
    node = make_node({"silent": 'skillset = "silent"\n'},
                     settings='[models]\npath = "models"\n[skillsets]\npaths = ["plugins"]\n')
    (node.folder / "plugins").mkdir()
    (node.folder / "plugins/silent.toml").write_text('command = ["sleep", "1000"]\n')
    node.start()
    [asked] = node.log.wait_for("host started")
    node.signal(number)
    assert node.wait() == 0
    [ended] = node.log.wait_for("node stopped")
    # A host has thirty seconds to say what it is.
    assert (datetime.fromisoformat(ended["time"]) - datetime.fromisoformat(asked["time"])).total_seconds() < 20
    assert [line for line in node.log.lines if line.startswith("troupe-node: ")] == []


def test_the_port_is_free_as_soon_as_the_node_has_ended(make_node):
    first = make_node().start().wait_ready()
    assert first.stop() == 0
    second = make_node(listen=first.address).start().wait_ready()
    assert second.address == first.address
