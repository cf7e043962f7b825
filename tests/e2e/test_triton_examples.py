"""What the examples of Triton's clients do, request by request, against the models that they expect."""

import concurrent.futures

import numpy as np
import pytest
import tritonclient.grpc as triton

from messages import begin, fails, tensor
from node import PATIENCE
from streams import EXAMPLES, Stream, repetition

MODELS = EXAMPLES
ROW = np.arange(16, dtype=np.int32).reshape(1, 16)
ONES = np.ones((1, 16), np.int32)


def two(a, b, datatype=None):
    return [tensor("INPUT0", a, datatype), tensor("INPUT1", b, datatype)]


def as_texts(numbers):
    return np.array([str(x).encode() for x in numbers.ravel()], np.object_).reshape(numbers.shape)


def both(answer):
    return answer.as_numpy("OUTPUT0"), answer.as_numpy("OUTPUT1")


def check(answer, a, b):
    total, difference = both(answer)
    assert np.array_equal(total, a + b) and np.array_equal(difference, a - b)
    assert total.dtype == difference.dtype == a.dtype


@pytest.mark.parametrize("model, type", [("simple", np.int32), ("simple_int8", np.int8)])
def test_simple_infer(client, model, type):
    a, b = ROW.astype(type), ONES.astype(type)
    wanted = [triton.InferRequestedOutput("OUTPUT0"), triton.InferRequestedOutput("OUTPUT1")]
    check(client.infer(model, two(a, b), outputs=wanted), a, b)
    only = client.infer(model, two(a, b), outputs=wanted[1:])
    assert only.as_numpy("OUTPUT0") is None and np.array_equal(only.as_numpy("OUTPUT1"), a - b)


def test_simple_infer_in_batches(client):
    a = np.arange(8 * 16, dtype=np.int32).reshape(8, 16)
    check(client.infer("simple", two(a, -a)), a, -a)


def test_simple_string_infer(client):
    total, difference = both(client.infer("simple_string", two(as_texts(ROW), as_texts(ONES))))
    assert np.array_equal(total.astype(np.int32), ROW + ONES)
    assert np.array_equal(difference.astype(np.int32), ROW - ONES)
    words = np.full((1, 16), b"seven", np.object_)
    with fails("INVALID_ARGUMENT", "'INPUT0'", "'seven'"):
        client.infer("simple_string", two(words, as_texts(ONES)))


@pytest.mark.parametrize("element", [b"he\x00llo", b"\x00\x01\x02\x03"])
def test_simple_identity(client, element):
    texts = np.full((1, 16), element, np.object_)
    answer = client.infer("simple_identity", [tensor("INPUT0", texts)])
    assert np.array_equal(answer.as_numpy("OUTPUT0"), texts)


def test_simple_async_infer(client):
    answers = [begin(client, "simple", two(ROW, ONES * i))[1] for i in range(20)]
    for i, answer in enumerate(answers):
        check(answer.result(PATIENCE), ROW, ONES * i)


def test_simple_stream_infer(client):
    stream = Stream(client)
    for i in range(100):
        stream.send("simple", two(ROW, ONES * i), request_id=str(i))
    for _ in range(100):
        answer = stream.next()
        check(answer, ROW, ONES * int(answer.get_response().id))
    assert stream.close() == []


def test_custom_repeat(client):
    stream = Stream(client)
    stream.send("repeat_int32", repetition(range(100, 110), [10] * 10, 10),
                outputs=[triton.InferRequestedOutput("OUT")])
    assert [stream.next().as_numpy("OUT").tolist() for _ in range(10)] == [[i] for i in range(100, 110)]
    assert stream.close() == []


@pytest.mark.parametrize("model, name, datatype, shape", [
    ("simple", "INPUT0", "INT32", [-1, 16]), ("simple_int8", "INPUT0", "INT8", [-1, 16]),
    ("simple_string", "INPUT0", "BYTES", [-1, 16]), ("repeat_int32", "IN", "INT32", [-1]),
])
def test_metadata(client, model, name, datatype, shape):
    first = client.get_model_metadata(model).inputs[0]
    assert (first.name, first.datatype, list(first.shape)) == (name, datatype, shape)


def test_sleep_can_be_cancelled_and_a_stubborn_one_keeps_its_instance(make_node):
    node = make_node(EXAMPLES, log_level="trace").start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        for model, sleep in (("sleep", 600_000), ("stubborn_sleep", 1_000)):
            context, answer = begin(client, model, [tensor("DELAY", np.array([sleep], np.uint32))], request_id=model)
            node.log.wait_for("executing", model=model)
            context.cancel()
            with pytest.raises((triton.InferenceServerException, concurrent.futures.CancelledError)):
                answer.result(PATIENCE)
            # Its instance is free for the next one, after a while or at once.
            answer = client.infer(model, [tensor("DELAY", np.array([1], np.uint32))])
            assert answer.as_numpy("SLEPT").tolist() == [1]
    assert node.stop() == 0
