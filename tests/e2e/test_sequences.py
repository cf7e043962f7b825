"""Sequences: requests that belong together find what those before them left, and nobody else's."""

import concurrent.futures
import random

import numpy as np
import pytest
import tritonclient.grpc as triton

from messages import begin, fails, raw_request, tensor
from node import PATIENCE
from streams import EXAMPLES, Stream

ACCUMULATE = 'skillset = "triton_examples"\ninstances = 2\n[options]\ntask = "accumulate"\n'
PATIENT = ACCUMULATE + '[sequences]\nmax_idle = "60s"\n'
MODELS = {
    **{name: toml for name, toml in EXAMPLES.items() if "sequence" in name},
    # A busy machine may take longer than the second that its sequences have.
    "simple_sequence": EXAMPLES["simple_sequence"] + '[sequences]\nmax_idle = "60s"\n',
    "accumulate": PATIENT,
    "by_default": ACCUMULATE,
    "short": ACCUMULATE + '[sequences]\nmax_idle = "100ms"\n',
    "simple": EXAMPLES["simple"],
}
FOR_EVER = {"delay_ms": 600_000}
VALUES = [11, 7, 5, 3, 2, 0, 1]
NOT_STARTED = "must specify the START flag on the first request of the sequence"


def number(value):
    return [tensor("INPUT", np.full([1, 1], value, np.int32))]


def output(answer):
    [[value]] = answer.as_numpy("OUTPUT").tolist()
    return value


def options(values, sequence, i):
    """What tritonclient's examples say of the i-th value of a sequence."""
    return {"sequence_id": sequence, "sequence_start": i == 0, "sequence_end": i == len(values) - 1,
            "outputs": [triton.InferRequestedOutput("OUTPUT")]}


def infer_all(client, model, sequence, values):
    return [output(client.infer(model, number(v), **options(values, sequence, i))) for i, v in enumerate(values)]


def example_sequences(dyna):
    """The sequences of simple_grpc_sequence_{sync,stream}_infer_client.py: model, id, values, and the answers."""
    minus = [-v for v in VALUES]
    model = "simple_dyna_sequence" if dyna else "simple_sequence"
    text = ("simple_string_dyna_sequence", "1002") if dyna else (model, "6a2c4d3e-uuid")
    first = [1, *VALUES[:-1], VALUES[-1] + 1000 * dyna]
    second = [101, *minus[:-1], minus[-1] + 1001 * dyna]
    sums = np.cumsum([20, *minus]).tolist()
    third = [*sums[:-1], sums[-1] + 1002] if dyna else [21, *minus]
    return [(model, 1000, [0, *VALUES], first), (model, 1001, [100, *minus], second), (*text, [20, *minus], third)]


@pytest.mark.parametrize("dyna", [False, True])
def test_simple_sequence_sync_infer(client, dyna):
    for model, sequence, values, answers in example_sequences(dyna):
        assert infer_all(client, model, sequence, values) == answers


@pytest.mark.parametrize("dyna", [False, True])
def test_simple_sequence_stream_infer(client, dyna):
    stream = Stream(client)
    sequences = example_sequences(dyna)
    for model, sequence, values, _ in sequences:
        for i, value in enumerate(values):
            stream.send(model, number(value), request_id=f"{sequence}_{i + 1}", **options(values, sequence, i))
    results = {str(sequence): [] for _, sequence, _, _ in sequences}
    for _ in range(sum(len(values) for _, _, values, _ in sequences)):
        answer = stream.next()
        results[answer.get_response().id.split("_")[0]].append(output(answer))
    assert stream.close() == []
    assert results == {str(sequence): answers for _, sequence, _, answers in sequences}


def test_interleaved_sequences_on_one_stream_keep_apart(client):
    stream = Stream(client)
    values = list(range(1, 31))
    for i, value in enumerate(values):
        for sequence, sign in ((21, 1), ("21", -1)):
            stream.send("accumulate", number(sign * value), request_id=str(sign), **options(values, sequence, i))
    results = {"1": [], "-1": []}
    for _ in range(2 * len(values)):
        answer = stream.next()
        results[answer.get_response().id].append(output(answer))
    assert stream.close() == []
    assert results == {"1": np.cumsum(values).tolist(), "-1": (-np.cumsum(values)).tolist()}


def test_fifty_sequences_at_once_are_each_exact(node):
    def one(seed):
        values = random.Random(seed).choices(range(-1000, 1000), k=20)
        with triton.InferenceServerClient(node.address) as client:
            return infer_all(client, "accumulate", 100 + seed, values), np.cumsum(values).tolist()

    with concurrent.futures.ThreadPoolExecutor(50) as threads:
        for answers, sums in threads.map(one, range(50)):
            assert answers == sums


def test_bad_sequence_parameters_are_refused_by_name(client, stub):
    with fails("INVALID_ARGUMENT", "must specify a non-zero or non-empty correlation ID"):
        client.infer("accumulate", number(1))
    with fails("INVALID_ARGUMENT", f"for sequence 31 to model 'accumulate' {NOT_STARTED}"):
        client.infer("accumulate", number(1), sequence_id=31)
    with fails("INVALID_ARGUMENT", "'simple' keeps no state", "leave the sequence parameters out"):
        client.infer("simple", [tensor(name, np.ones((1, 16), np.int32)) for name in ("INPUT0", "INPUT1")],
                     sequence_id=1, sequence_start=True)
    with fails("INVALID_ARGUMENT", "batch-size 1"):
        client.infer("accumulate", [tensor("INPUT", np.ones((2, 1), np.int32))], sequence_id=1, sequence_start=True)
    for name, field, value in [("sequence_id", "bool_param", True), ("sequence_id", "int64_param", -1),
                               ("sequence_id", "string_param", "x" * 129), ("sequence_start", "int64_param", 1),
                               ("sequence_end", "string_param", "true"), ("sequence_first", "bool_param", True)]:
        request = raw_request("accumulate", ("INPUT", "INT32", [1, 1], bytes(4)))
        request.parameters["sequence_id"].int64_param = 1
        setattr(request.parameters[name], field, value)
        with fails("INVALID_ARGUMENT", f"'{name}'"):
            stub.ModelInfer(request)


def test_what_fails_leaves_the_state_as_it_was(client):
    first = client.infer("simple_string_dyna_sequence", number(5), sequence_id="x", sequence_start=True)
    assert output(first) == 5
    with fails("INVALID_ARGUMENT", "'x' is no number"):
        client.infer("simple_string_dyna_sequence", number(10), sequence_id="x", sequence_end=True)
    assert output(client.infer("simple_string_dyna_sequence", number(1), sequence_id="x")) == 6


def test_a_cancelled_request_did_not_happen_and_those_that_wait_for_it_go_on(make_node):
    node = make_node({"accumulate": PATIENT}, log_level="trace").start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        assert output(client.infer("accumulate", number(1), sequence_id=1, sequence_start=True)) == 1
        running, _ = begin(client, "accumulate", number(10), sequence_id=1, parameters=FOR_EVER)
        node.log.wait_for("executing", 2)
        # The one that runs may have waited itself, while the turn of the first was not quite over.
        waited = len(node.log.events("waits for its sequence"))
        waiting, _ = begin(client, "accumulate", number(100), sequence_id=1)
        node.log.wait_for("waits for its sequence", waited + 1)
        waiting.cancel()
        node.log.wait_for("request", code="CANCELLED")
        running.cancel()
        node.log.wait_for("request", 2, code="CANCELLED")
        assert output(client.infer("accumulate", number(1000), sequence_id=1, sequence_end=True)) == 1001
    assert node.stop() == 0
    assert node.counts("accumulate").executed == 3


def test_idle_sequences_expire(node, client):
    assert output(client.infer("short", number(1), sequence_id=1, sequence_start=True)) == 1
    node.log.wait_for("sequence expired", sequence="1")
    with fails("INVALID_ARGUMENT", NOT_STARTED, "100 ms"):
        client.infer("short", number(1), sequence_id=1)


def test_the_most_sequences_are_the_most(make_node):
    node = make_node({"few": ACCUMULATE + '[sequences]\nmax_idle = "60s"\ncapacity = 2\n'}).start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        for sequence in (1, 2):
            client.infer("few", number(1), sequence_id=sequence, sequence_start=True)
        with fails("RESOURCE_EXHAUSTED", "the model has 2 sequences", "sequences.capacity"):
            client.infer("few", number(1), sequence_id=3, sequence_start=True)
        client.infer("few", number(1), sequence_id=1, sequence_end=True)
        assert output(client.infer("few", number(7), sequence_id=3, sequence_start=True)) == 7
    assert node.stop() == 0


def test_a_node_that_stops_answers_what_waits_for_its_turn(make_node):
    node = make_node({"accumulate": PATIENT}, drain="10ms", log_level="trace").start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        answers = []
        for i in range(3):
            answers.append(begin(client, "accumulate", number(1), sequence_id=1, sequence_start=i == 0,
                                 parameters=FOR_EVER)[1])
            # Calls of their own come in no order but the one in which they were seen to come.
            node.log.wait_for("executing")
        node.log.wait_for("waits for its sequence", 2)
        node.signal()
        for answer in answers:
            with fails("UNAVAILABLE"):
                answer.result(PATIENCE)
    assert node.wait() == 0


def test_the_configuration_says_how_sequences_are_kept(client):
    config = client.get_model_config("simple_dyna_sequence").config
    assert config.WhichOneof("scheduling_choice") == "sequence_batching"
    assert config.sequence_batching.max_sequence_idle_microseconds == 10_000_000
    assert config.sequence_batching.oldest.max_candidate_sequences == 1024
    assert client.get_model_config("by_default").config.sequence_batching.max_sequence_idle_microseconds == 1_000_000
    assert client.get_model_config("simple").config.WhichOneof("scheduling_choice") == "dynamic_batching"
    assert "sequence" in client.get_server_metadata().extensions
