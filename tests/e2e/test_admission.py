"""Who goes first, who waits, who is refused and told when to come back; and what runs together."""

import pytest
import tritonclient.grpc as triton

from messages import fails, numbers, slow_request, status_of, stub_of

ONE_AT_A_TIME = 'skillset = "identity"\n[queue]\ncapacity = 16\nmax_wait = "10s"\n'
FOREVER = 600_000


def prioritised(delay_ms, name, level):
    request = slow_request(delay_ms)
    request.id = name
    request.parameters["priority"].uint64_param = level
    return request


@pytest.fixture(name="node")
def make_small_node(make_node):
    return make_node({"identity": ONE_AT_A_TIME}, slots=1, log_level="trace").start().wait_ready()


def fill(node, stub):
    """Requests that take the one instance and all of its queue."""
    calls = [stub.ModelInfer.future(slow_request(FOREVER))]
    node.log.wait_for("executing")
    calls += [stub.ModelInfer.future(slow_request(FOREVER)) for _ in range(16)]
    node.log.wait_for("admitted", 17)
    return calls


def test_the_most_urgent_goes_first(node):
    with stub_of(node.address) as stub:
        running = stub.ModelInfer.future(slow_request(FOREVER))
        node.log.wait_for("executing")
        names = {"last": 3, "second": 2, "first": 1}
        calls = []
        for count, (name, level) in enumerate(names.items()):
            calls.append(stub.ModelInfer.future(prioritised(1, name, level)))
            node.log.wait_for("admitted", 2 + count)
        running.cancel()
        assert [status_of(call) for call in calls] == ["OK"] * 3
        answered = [event["id"] for event in node.log.wait_for("request", 3, code="OK")]
        assert answered == ["first", "second", "last"]


def test_a_priority_that_there_is_not_is_refused(node):
    with triton.InferenceServerClient(node.address) as client, stub_of(node.address) as stub:
        with fails("INVALID_ARGUMENT", "'priority'", "4", "1", "3"):
            client.infer("identity", numbers(), priority=4)
        wrong = slow_request(0)
        wrong.parameters["priority"].string_param = "high"
        with fails("INVALID_ARGUMENT", "'priority'"):
            stub.ModelInfer(wrong)
        assert client.infer("identity", numbers(), priority=3).as_numpy("output") is not None


def test_a_timeout_of_the_request_ends_it_while_it_waits_and_while_it_runs(node):
    with stub_of(node.address) as stub, triton.InferenceServerClient(node.address) as client:
        with fails("DEADLINE_EXCEEDED"):
            client.infer("identity", numbers(), timeout=30_000, parameters={"delay_ms": FOREVER})
        running = stub.ModelInfer.future(slow_request(FOREVER))
        node.log.wait_for("executing", 2)
        # Less than what runs is foretold to take would be refused at once.
        with fails("DEADLINE_EXCEEDED"):
            client.infer("identity", numbers(), timeout=500_000)
        running.cancel()
        assert client.infer("identity", numbers(), timeout=60_000_000).as_numpy("output") is not None


def test_what_is_refused_is_told_when_to_come_back(node):
    with stub_of(node.address) as stub:
        calls = fill(node, stub)
        refused = stub.ModelInfer.future(slow_request(0))
        assert status_of(refused) == "RESOURCE_EXHAUSTED"
        trailers = dict(refused.trailing_metadata())
        assert 0 < int(trailers["retry-after-ms"]) <= 30_000
        assert b"type.googleapis.com/google.rpc.RetryInfo" in trailers["grpc-status-details-bin"]
        for call in calls:
            call.cancel()


def test_what_cannot_meet_its_deadline_is_refused_at_once(node):
    with stub_of(node.address) as stub:
        assert status_of(stub.ModelInfer.future(slow_request(500))) == "OK"  # from which the node learns
        running = stub.ModelInfer.future(slow_request(FOREVER))
        node.log.wait_for("executing", 2)
        queued = [stub.ModelInfer.future(slow_request(0)) for _ in range(10)]
        node.log.wait_for("admitted", 12)
        hopeless = stub.ModelInfer.future(slow_request(0), timeout=1)
        assert status_of(hopeless) == "RESOURCE_EXHAUSTED"
        assert "deadline" in hopeless.details()
        for call in [running, *queued]:
            call.cancel()


def test_a_greedy_client_makes_room_for_another(node):
    with stub_of(node.address) as greedy, stub_of(node.address) as modest:
        calls = fill(node, greedy)
        mine = modest.ModelInfer.future(slow_request(0))
        node.log.wait_for("admitted", 18)
        [refused] = node.log.wait_for("request", 1, code="RESOURCE_EXHAUSTED")
        assert "make room for another client" in refused["reason"]
        for call in calls:
            call.cancel()
        assert status_of(mine) == "OK"


def test_statistics_tell_what_was_done(node):
    with triton.InferenceServerClient(node.address) as client, stub_of(node.address) as stub:
        for _ in range(3):
            client.infer("identity", numbers())
        with fails("INVALID_ARGUMENT"):
            client.infer("identity", numbers(), parameters={"delay_ms": -1})
        node.log.wait_for("request", 4)
        [stats] = client.get_inference_statistics("identity").model_stats
        assert (stats.name, stats.version, stats.execution_count, stats.inference_count) == ("identity", "1", 4, 4)
        assert (stats.inference_stats.success.count, stats.inference_stats.fail.count) == (3, 1)
        assert stats.inference_stats.queue.count == stats.inference_stats.compute_infer.count == 4
        assert [(batch.batch_size, batch.compute_infer.count) for batch in stats.batch_stats] == [(1, 4)]
        assert stats.last_inference > 1_700_000_000_000
        assert len(client.get_inference_statistics().model_stats) == 1
        with fails("NOT_FOUND", "'nobody'"):
            client.get_inference_statistics("nobody")
        running = stub.ModelInfer.future(slow_request(FOREVER))
        node.log.wait_for("executing", 5)
        running.cancel()
        node.log.wait_for("request", 1, code="CANCELLED")


def test_the_configuration_says_how_requests_wait(node):
    with triton.InferenceServerClient(node.address) as client:
        batching = client.get_model_config("identity").config.dynamic_batching
        assert (batching.priority_levels, batching.default_priority_level) == (3, 2)
        assert batching.default_queue_policy.max_queue_size == 16
        assert batching.default_queue_policy.default_timeout_microseconds == 10_000_000
