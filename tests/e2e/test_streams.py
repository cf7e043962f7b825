"""Requests on a stream: each is answered, whatever the others are, for as long as somebody wants the answers."""

import pathlib

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from messages import fails, numbers, raw_request, slow_request, stub_of, tensor
from node import Counts
from streams import EXAMPLES, Stream, is_final, repetition

MODELS = {"identity": 'skillset = "identity"\n', "repeat_int32": EXAMPLES["repeat_int32"]}
FOR_EVER = 600_000
MIB = 1 << 20


def repeat_request(count, delay=0, **fields):
    """The same as bytes, for a stub."""
    return raw_request(
        "repeat_int32",
        ("IN", "INT32", [count], bytes(4 * count)),
        ("DELAY", "UINT32", [count], np.full(count, delay, np.uint32).tobytes()),
        ("WAIT", "UINT32", [1], bytes(4)),
        **fields,
    )


def peak_memory(node):
    """Bytes."""
    status = pathlib.Path(f"/proc/{node.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def test_many_requests_are_each_answered_once(client):
    stream = Stream(client)
    for i in range(1000):
        stream.send("identity", numbers(i), request_id=str(i), parameters={"delay_ms": 1} if i % 50 == 0 else None)
    answers = [stream.next() for _ in range(1000)]
    assert stream.close() == []
    assert {a.get_response().id for a in answers} == {str(i) for i in range(1000)}
    assert all(a.as_numpy("output").tolist() == [int(a.get_response().id)] for a in answers)


def test_what_is_wrong_with_a_request_is_its_answer_and_the_stream_goes_on(client):
    stream = Stream(client)
    for i in range(20):
        stream.send("identity", numbers(i))
        assert stream.next().as_numpy("output").tolist() == [i]
        stream.send("nobody", numbers(i))
        with pytest.raises(triton.InferenceServerException, match="NOT_FOUND.*'nobody'"):
            stream.next()
        stream.send("identity", [tensor("inputt", np.zeros(1, np.float32))])
        with pytest.raises(triton.InferenceServerException, match="INVALID_ARGUMENT.*'input' is missing"):
            stream.next()
    assert stream.close() == []


def test_an_error_says_which_request_it_is_for(stub):
    [answer] = stub.ModelStreamInfer(iter([raw_request("nobody", id="17")]))
    assert "'nobody'" in answer.error_message
    assert (answer.infer_response.id, answer.infer_response.model_name) == ("17", "nobody")
    assert answer.infer_response.parameters["triton_final_response"].bool_param


def test_a_decoupled_request_has_as_many_responses_as_it_likes(client):
    stream = Stream(client)
    for count in (3, 0, 1, 5000):
        stream.send("repeat_int32", repetition(range(count)), request_id=str(count), enable_empty_final_response=True)
        for i in range(count):
            answer = stream.next()
            assert (answer.as_numpy("OUT").tolist(), answer.as_numpy("IDX").tolist()) == ([i], [i])
            assert answer.get_response().id == str(count) and not is_final(answer)
        last = stream.next()
        assert is_final(last) and last.get_response().id == str(count) and not last.get_response().outputs
    stream.send("repeat_int32", repetition([]))
    assert stream.close() == [], "nobody asked for an empty response"


def test_a_decoupled_model_has_no_single_calls_and_says_so(client):
    assert client.get_model_config("repeat_int32").config.model_transaction_policy.decoupled
    assert not client.get_model_config("identity").config.model_transaction_policy.decoupled
    with fails("UNIMPLEMENTED", "decoupled transaction policy", "ModelStreamInfer"):
        client.infer("repeat_int32", repetition([1]))


def test_who_has_said_all_gets_what_is_under_way(client):
    stream = Stream(client)
    stream.send("repeat_int32", repetition([1, 2, 3], [20, 20, 20]))
    stream.send("identity", numbers(4), parameters={"delay_ms": 10})
    assert len(stream.close()) == 4


def test_cancelling_a_stream_stops_all_of_its_work(make_node):
    node = make_node(MODELS, slots=1, log_level="trace").start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        stream = Stream(client)
        stream.send("repeat_int32", repetition([1, 2], [0, FOR_EVER]), request_id="runs")
        assert stream.next().as_numpy("OUT").tolist() == [1]
        for i in range(5):
            stream.send("repeat_int32", repetition([1]), request_id="queued")
        node.log.wait_for("admitted", 6)
        stream.cancel()
        assert {e["code"] for e in node.log.wait_for("request", 5, id="queued")} == {"CANCELLED"}
        assert node.log.wait_for("request", id="runs")[0]["code"] == "CANCELLED"
        # The one slot is free again.
        assert client.infer("identity", numbers(1), parameters={"delay_ms": 1}).as_numpy("output").tolist() == [1]
    assert node.stop() == 0
    assert node.counts("repeat_int32") == Counts(admitted=6, executed=1, refused=0, withdrawn=5)


def test_a_client_that_dies_stops_the_work_of_its_stream(make_node):
    node = make_node(MODELS, log_level="trace").start().wait_ready()
    with stub_of(node.address) as stub:
        answers = stub.ModelStreamInfer(iter([repeat_request(2, FOR_EVER, id="left")]))
        node.log.wait_for("executing")
    del answers  # its channel is closed
    assert node.log.wait_for("request", id="left")[0]["code"] == "CANCELLED"
    assert node.stop() == 0


def test_the_deadline_of_a_stream_ends_it(node, stub):
    answers = stub.ModelStreamInfer(iter([repeat_request(1, FOR_EVER, id="late")]), timeout=1)
    with fails("DEADLINE_EXCEEDED"):
        next(answers)
    assert node.log.wait_for("request", id="late")[0]["code"] in ("DEADLINE_EXCEEDED", "CANCELLED")


def test_a_slow_reader_holds_up_its_own_requests_and_gets_all_answers(make_node, sanitized):
    node = make_node(MODELS).start().wait_ready()
    before = peak_memory(node)
    with stub_of(node.address) as stub:
        large = raw_request("identity", ("input", "UINT8", [MIB], bytes(MIB)))
        answers = stub.ModelStreamInfer(iter([large] * 300))
        node.log.wait_for("request", 20)
        # Others are served meanwhile.
        assert stub.ModelInfer(slow_request(1)).outputs[0].shape == [2]
        assert sum(len(answer.infer_response.raw_output_contents[0]) for answer in answers) == 300 * MIB
    assert sanitized or peak_memory(node) - before < 200 * MIB
    assert node.stop() == 0


def test_who_does_not_read_what_he_asked_for_is_cut_off(node, stub):
    answers = stub.ModelStreamInfer(iter([repeat_request(1_000_000)]))
    node.log.wait_for("stream stopped", code="RESOURCE_EXHAUSTED")
    with fails("RESOURCE_EXHAUSTED", "waited for the client to read"):
        for _ in answers:
            pass
    assert stub.ModelInfer(slow_request(1)).outputs[0].shape == [2]


def test_rubbish_on_a_stream_harms_nobody_else(node, stub):
    with grpc.insecure_channel(node.address) as channel:
        rubbish = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer",
                                        request_serializer=lambda b: b, response_deserializer=lambda b: b)
        assert list(rubbish(iter([b"\xff\xff\xff", b"\x00"]))) == []
    assert stub.ModelInfer(slow_request(1)).outputs[0].shape == [2]


def test_a_node_that_stops_finishes_what_is_under_way_on_streams(make_node):
    node = make_node(MODELS, drain="600s", log_level="trace").start().wait_ready()
    with triton.InferenceServerClient(node.address) as busy, triton.InferenceServerClient(node.address) as idle:
        waiting, stream = Stream(idle), Stream(busy)
        waiting.send("identity", numbers(1))
        waiting.next()
        stream.send("repeat_int32", repetition([1, 2, 3], [0, 300, 300]))
        stream.next()
        node.signal()
        # Who has nothing under way does not hold anybody up.
        with fails("UNAVAILABLE", "shutting down"):
            waiting.next()
        assert [stream.next().as_numpy("OUT").tolist() for _ in range(2)] == [[2], [3]]
        with fails("UNAVAILABLE", "shutting down"):
            stream.next()
        assert node.wait() == 0


def test_when_the_drain_is_over_streams_end_with_what_runs_on_them(make_node):
    node = make_node(MODELS, drain="10ms", log_level="trace").start().wait_ready()
    with stub_of(node.address) as stub:
        answers = stub.ModelStreamInfer(iter([repeat_request(1, FOR_EVER)] * 3))
        node.log.wait_for("admitted", 3)
        node.signal()
        with fails("UNAVAILABLE"):
            next(answers)
    assert node.wait() == 0
