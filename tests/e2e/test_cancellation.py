"""Who no longer wants an answer stops the work: what is queued never runs, what runs is told, and the slot is free."""

import pytest
import tritonclient.grpc as triton

from messages import begin, fails, numbers, raw_request, slow_request, status_of, stub_of
from node import PATIENCE, Counts
from streams import EXAMPLES

FOR_EVER = {"delay_ms": 600_000}


@pytest.fixture
def node(make_node):
    """A node that works on one request at a time."""
    return make_node(slots=1, log_level="trace").start().wait_ready()


def answers_again(node, client):
    """True when the one slot is free: a request that takes a thread of the pool is answered."""
    return client.infer("identity", numbers(1), parameters={"delay_ms": 1}).as_numpy("output").tolist() == [1]


def counts_at_the_end(node):
    assert node.stop() == 0
    return node.counts("identity")


def test_a_call_that_is_cancelled_while_it_runs_frees_the_slot(node, client):
    context, answer = begin(client, "identity", numbers(), parameters=FOR_EVER, request_id="left")
    node.log.wait_for("executing")
    context.cancel()
    with fails("CANCELLED"):
        answer.result(PATIENCE)
    assert node.log.wait_for("request", id="left")[0]["code"] == "CANCELLED"
    assert answers_again(node, client)
    assert counts_at_the_end(node) == Counts(admitted=2, executed=2, refused=0, withdrawn=0)


def test_a_queued_call_that_is_cancelled_never_runs(node, client):
    running, _ = begin(client, "identity", numbers(), parameters=FOR_EVER)
    node.log.wait_for("executing")
    queued, answer = begin(client, "identity", numbers(), parameters=FOR_EVER, request_id="queued")
    node.log.wait_for("admitted", 2)
    queued.cancel()
    with fails("CANCELLED"):
        answer.result(PATIENCE)
    # Its place in the queue is free before the one that runs has ended.
    assert node.log.wait_for("request", id="queued")[0]["code"] == "CANCELLED"
    running.cancel()
    assert answers_again(node, client)
    assert counts_at_the_end(node) == Counts(admitted=3, executed=2, refused=0, withdrawn=1)


def test_a_deadline_that_passes_while_the_call_runs_frees_the_slot(node, client):
    with fails("DEADLINE_EXCEEDED"):
        client.infer("identity", numbers(), client_timeout=1, parameters=FOR_EVER, request_id="late")
    # Either side may notice first; what the node calls it depends on which.
    assert node.log.wait_for("request", id="late")[0]["code"] in ("DEADLINE_EXCEEDED", "CANCELLED")
    assert answers_again(node, client)
    assert counts_at_the_end(node) == Counts(admitted=2, executed=2, refused=0, withdrawn=0)


def test_a_queued_call_whose_deadline_passes_never_runs(node, client):
    running, _ = begin(client, "identity", numbers(), parameters=FOR_EVER)
    node.log.wait_for("executing")
    with fails("DEADLINE_EXCEEDED"):
        client.infer("identity", numbers(), client_timeout=1, parameters=FOR_EVER, request_id="late")
    assert node.log.wait_for("request", id="late")[0]["code"] in ("DEADLINE_EXCEEDED", "CANCELLED")
    running.cancel()
    assert answers_again(node, client)
    assert counts_at_the_end(node) == Counts(admitted=3, executed=2, refused=0, withdrawn=1)


def test_a_channel_that_closes_cancels_all_that_it_carried(node, client):
    with triton.InferenceServerClient(node.address) as leaving:
        for _ in range(5):
            begin(leaving, "identity", numbers(), parameters=FOR_EVER, request_id="left")
        node.log.wait_for("admitted", 5)
        node.log.wait_for("executing")
    left = node.log.wait_for("request", 5, id="left")
    assert [request["code"] for request in left] == ["CANCELLED"] * 5
    assert answers_again(node, client)
    counts = counts_at_the_end(node)
    # Their cancellations come one by one; when the first is that of the running one, the next may begin before its own.
    assert (counts.admitted, counts.executed + counts.withdrawn, counts.refused) == (6, 6, 0)


def test_cancelling_some_of_the_queue_leaves_the_others_their_turn(node, client):
    running, _ = begin(client, "identity", numbers(), parameters=FOR_EVER)
    node.log.wait_for("executing")
    with stub_of(node.address) as stub:
        queued = [stub.ModelInfer.future(slow_request(1)) for _ in range(10)]
        node.log.wait_for("admitted", 11)
        for call in queued[::2]:
            call.cancel()
        node.log.wait_for("request", 5, code="CANCELLED")
        running.cancel()
        assert [status_of(call) for call in queued] == ["CANCELLED", "OK"] * 5
    assert counts_at_the_end(node) == Counts(admitted=11, executed=6, refused=0, withdrawn=5)


def test_cancelling_what_has_been_answered_changes_nothing(node, client):
    context, answer = begin(client, "identity", numbers(5))
    assert answer.result(PATIENCE).as_numpy("output").tolist() == [5]
    context.cancel()
    assert answers_again(node, client)
    assert counts_at_the_end(node) == Counts(admitted=2, executed=2, refused=0, withdrawn=0)


def test_work_that_ignores_its_cancellation_in_the_node_is_told_of(make_node, troupe):
    stubborn = EXAMPLES["stubborn_sleep"].replace("[options]", 'instances = 2\n[cancel]\ngrace = "50ms"\n[options]')
    node = make_node({"stubborn": stubborn}, log_level="trace").start().wait_ready()
    status = lambda: troupe("--target", node.address, "status").stdout
    with stub_of(node.address) as stub:
        request = raw_request("stubborn", ("DELAY", "UINT32", [1], (3000).to_bytes(4, "little")))
        running = stub.ModelInfer.future(request)
        node.log.wait_for("executing")
        running.cancel()
        assert status_of(running) == "CANCELLED"
        [stuck] = node.log.wait_for("instance stuck in work that was cancelled")
        assert (stuck["model"], stuck["stuck"], stuck["instances"]) == ("stubborn", 1, 2)
        assert "stubborn READY: 1 of 2 instances is stuck in work that was cancelled" in status()
        node.log.wait_for("instance is back")
        assert "stuck" not in status()
        metrics = troupe("--target", node.address, "metrics").stdout
        assert 'troupe_instances_stuck_total{model="stubborn",version="1"} 1' in metrics
        assert 'troupe_stuck_instances{model="stubborn",version="1"} 0' in metrics
    assert node.stop() == 0
