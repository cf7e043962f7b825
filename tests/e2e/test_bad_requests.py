"""Requests that are wrong get an answer that names what is wrong, and the node goes on as if nothing had been."""

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from messages import fails, length_prefixed, numbers, raw_request, tensor

MODELS = {
    "identity": 'skillset = "identity"\n',
    "floats": 'skillset = "identity"\n[options]\ndatatype = "FP32"\n',
}
SETTINGS = {"max_message_mib": 4}


@pytest.fixture(autouse=True)
def afterwards_a_good_request_is_answered(client):
    yield
    assert client.infer("floats", numbers(1, 2)).as_numpy("output").tolist() == [1, 2]


def test_a_model_that_is_not_there_is_named(client):
    with fails("NOT_FOUND", "'nothing'"):
        client.infer("nothing", numbers())
    with fails("NOT_FOUND", "''"):
        client.infer("", numbers())


def test_a_version_that_is_not_there_is_named(client):
    with fails("NOT_FOUND", "'floats'", "'7'", "'1'"):
        client.infer("floats", numbers(), model_version="7")


def test_a_missing_input_is_named(stub):
    with fails("INVALID_ARGUMENT", "'input'", "missing"):
        stub.ModelInfer(raw_request("floats"))


def test_an_input_too_many_is_named(client):
    with fails("INVALID_ARGUMENT", "'more'", "'input'"):
        client.infer("floats", numbers() + [tensor("more", np.zeros(1, np.float32))])


def test_an_input_of_another_name_is_told_the_right_one(client):
    with fails("INVALID_ARGUMENT", "'input'", "missing"):
        client.infer("floats", [tensor("inptu", np.zeros(1, np.float32))])


def test_an_input_that_is_there_twice_is_named(client):
    with fails("INVALID_ARGUMENT", "'input'", "twice"):
        client.infer("floats", numbers() + numbers())


def test_an_unknown_output_is_named(client):
    with fails("INVALID_ARGUMENT", "'putout'"):
        client.infer("floats", numbers(), outputs=[triton.InferRequestedOutput("putout")])


def test_an_output_that_is_asked_for_twice_is_named(client):
    with fails("INVALID_ARGUMENT", "'output'", "twice"):
        client.infer("floats", numbers(), outputs=[triton.InferRequestedOutput("output")] * 2)


def test_another_datatype_is_told_the_right_one(client):
    with fails("INVALID_ARGUMENT", "'input'", "INT32", "FP32"):
        client.infer("floats", [tensor("input", np.zeros(2, np.int32))])


@pytest.mark.parametrize("datatype", ["", "ANY", "FP8", "fp32", "FP32\n"])
def test_a_datatype_that_is_none_is_named(stub, datatype):
    with fails("INVALID_ARGUMENT", "'input'", f"'{datatype}'"):
        stub.ModelInfer(raw_request("identity", ("input", datatype, [1], bytes(4))))


SHAPES = {
    "too few bytes": ([3], bytes(8)),
    "too many bytes": ([1], bytes(8)),
    "no bytes": ([1], b""),
    "a negative extent": ([-1], bytes(8)),
    "two negative extents": ([-1, -2], bytes(8)),
    "elements beyond 63 bits": ([2**62, 2**62], bytes(8)),
    "a product that wraps to what is there": ([2**32, 2**32 + 2], bytes(8)),
    "bytes beyond 63 bits": ([2**62], bytes(8)),
    "the most negative extent": ([-(2**63)], bytes(8)),
}


@pytest.mark.parametrize("case", SHAPES)
def test_a_shape_that_the_bytes_do_not_have_is_told(stub, case):
    shape, raw = SHAPES[case]
    with fails("INVALID_ARGUMENT", "'input'", str(shape)):
        stub.ModelInfer(raw_request("floats", ("input", "FP32", shape, raw)))


STRINGS = {
    "a length past the end": ([1], length_prefixed(b"abc")[:-1]),
    "a length of 4 GB": ([1], b"\xff\xff\xff\xffabc"),
    "a length cut short": ([1], b"\x01\x00"),
    "an element too few": ([2], length_prefixed(b"a")),
    "an element too many": ([1], length_prefixed(b"a", b"b")),
    "more elements than bytes": ([2**40], length_prefixed(b"a")),
}


@pytest.mark.parametrize("case", STRINGS)
def test_strings_whose_lengths_lie_are_told(stub, case):
    shape, raw = STRINGS[case]
    with fails("INVALID_ARGUMENT", "'input'", "BYTES element"):
        stub.ModelInfer(raw_request("identity", ("input", "BYTES", shape, raw)))


def test_typed_and_raw_contents_together_are_refused(stub):
    request = raw_request("floats", ("input", "FP32", [1], bytes(4)))
    request.inputs[0].contents.fp32_contents.append(1)
    with fails("INVALID_ARGUMENT", "'input'", "typed", "raw"):
        stub.ModelInfer(request)


def test_raw_contents_for_another_number_of_inputs_are_refused(stub):
    request = raw_request("floats", ("input", "FP32", [1], bytes(4)))
    request.raw_input_contents.append(bytes(4))
    with fails("INVALID_ARGUMENT", "2 raw contents", "1 inputs"):
        stub.ModelInfer(request)


def test_typed_contents_in_a_field_of_another_type_are_refused(stub):
    request = raw_request("floats")
    request.inputs.add(name="input", datatype="FP32", shape=[1]).contents.fp64_contents.append(1)
    with fails("INVALID_ARGUMENT", "'input'", "FP32"):
        stub.ModelInfer(request)


def test_a_typed_value_that_does_not_fit_is_named(stub):
    request = raw_request("identity")
    request.inputs.add(name="input", datatype="INT8", shape=[1]).contents.int_contents.append(300)
    with fails("INVALID_ARGUMENT", "'input'", "300", "INT8"):
        stub.ModelInfer(request)


def test_typed_contents_are_no_way_for_half_floats(stub):
    request = raw_request("identity")
    request.inputs.add(name="input", datatype="FP16", shape=[1]).contents.fp32_contents.append(1)
    with fails("INVALID_ARGUMENT", "'input'", "raw only"):
        stub.ModelInfer(request)


def test_a_message_above_the_limit_is_refused(client):
    with fails("RESOURCE_EXHAUSTED", str(4 << 20)):
        client.infer("floats", [tensor("input", np.zeros(1 << 20, np.float32))])


def test_a_message_is_not_too_large_once_it_is_compressed_only(client):
    with fails("RESOURCE_EXHAUSTED"):
        client.infer("floats", [tensor("input", np.zeros(16 << 20, np.float32))], compression_algorithm="gzip")


def test_a_method_that_does_not_exist_is_unimplemented(node):
    with grpc.insecure_channel(node.address) as channel:
        with fails("UNIMPLEMENTED"):
            channel.unary_unary("/inference.GRPCInferenceService/ModelGuess")(b"")
