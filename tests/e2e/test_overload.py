"""More than a node can do at once is refused at once, and never lost."""

import collections

import tritonclient.grpc as triton

from messages import numbers, slow_request, status_of, stub_of
from node import Counts

QUEUE = 8
SMALL = f'skillset = "identity"\n[queue]\ncapacity = {QUEUE}\n'


def test_every_one_of_a_thousand_requests_at_once_gets_an_answer(make_node):
    node = make_node({"identity": SMALL}, log_level="info").start().wait_ready()
    with stub_of(node.address) as stub:
        calls = [stub.ModelInfer.future(slow_request(1)) for _ in range(1000)]
        answers = collections.Counter(status_of(call) for call in calls)
        assert set(answers) == {"OK", "RESOURCE_EXHAUSTED"}
        assert answers.total() == 1000
        assert status_of(stub.ModelInfer.future(slow_request(0))) == "OK"
    assert node.stop() == 0
    assert node.counts("identity") == Counts(
        admitted=answers["OK"] + 1, executed=answers["OK"] + 1, refused=answers["RESOURCE_EXHAUSTED"], withdrawn=0)


def test_a_full_queue_refuses_with_its_size_and_is_free_again_afterwards(make_node):
    node = make_node({"identity": SMALL}, slots=1, log_level="trace").start().wait_ready()
    with stub_of(node.address) as stub:
        running = stub.ModelInfer.future(slow_request(600_000))
        node.log.wait_for("executing")
        queued = [stub.ModelInfer.future(slow_request(600_000)) for _ in range(QUEUE)]
        node.log.wait_for("admitted", 1 + QUEUE)
        refused = stub.ModelInfer.future(slow_request(0))
        assert status_of(refused) == "RESOURCE_EXHAUSTED"
        assert f"full with {QUEUE} requests" in refused.details() and "'identity'" in refused.details()
        for call in queued:
            call.cancel()
        node.log.wait_for("request", QUEUE, code="CANCELLED")
        running.cancel()
        assert status_of(stub.ModelInfer.future(slow_request(0))) == "OK"
    assert node.stop() == 0
    assert node.counts("identity") == Counts(admitted=2 + QUEUE, executed=2, refused=1, withdrawn=QUEUE)


def test_a_model_whose_queue_is_full_does_not_stand_in_another_ones_way(make_node):
    node = make_node({"full": SMALL, "other": SMALL}, slots=2, log_level="trace").start().wait_ready()
    with stub_of(node.address) as stub, triton.InferenceServerClient(node.address) as client:
        calls = [stub.ModelInfer.future(slow_request(600_000, "full")) for _ in range(1 + QUEUE)]
        node.log.wait_for("admitted", QUEUE, model="full")
        assert client.infer("other", numbers(7), parameters={"delay_ms": 1}).as_numpy("output") == [7]
        for call in calls:
            call.cancel()
