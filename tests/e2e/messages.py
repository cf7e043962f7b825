"""Requests, and what becomes of them."""

import concurrent.futures
import contextlib

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferInput, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from node import PATIENCE


def tensor(name, array, datatype=None):
    """An input of tritonclient's."""
    item = InferInput(name, list(array.shape), datatype or np_to_triton_dtype(array.dtype))
    item.set_data_from_numpy(array)
    return item


def numbers(*values):
    """The input of an identity model."""
    return [tensor("input", np.array(values or (1, 2), np.float32))]


def texts(*values):
    """The input of an embedding model."""
    return [tensor("text", np.array([v.encode() if isinstance(v, str) else v for v in values], np.object_), "BYTES")]


def length_prefixed(*elements):
    """BYTES elements as they travel raw."""
    return b"".join(len(element).to_bytes(4, "little") + element for element in elements)


def raw_request(model, *inputs, **fields):
    """A request as a client would never make it: each input is (name, datatype, shape, raw bytes)."""
    request = service_pb2.ModelInferRequest(model_name=model, **fields)
    for name, datatype, shape, raw in inputs:
        request.inputs.add(name=name, datatype=datatype, shape=shape)
        request.raw_input_contents.append(raw)
    return request


@contextlib.contextmanager
def stub_of(address):
    """The service as protoc makes it, for what tritonclient can't say, over a connection of its own."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options=options) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@contextlib.contextmanager
def fails(code, *words):
    """Sees that a call of tritonclient or of a stub fails with the code, and a message that has the words."""
    with pytest.raises((InferenceServerException, grpc.RpcError)) as failure:
        yield
    error = failure.value
    is_triton = isinstance(error, InferenceServerException)
    status = error.status() if is_triton else str(error.code())
    message = error.message() if is_triton else error.details()
    assert status == f"StatusCode.{code}", message
    for word in words:
        assert word in message


def begin(client, model, inputs, **options):
    """tritonclient's async_infer: its CallContext, and a future of what it calls back with."""
    answer = concurrent.futures.Future()

    def call_back(result, error):
        answer.set_exception(error) if error else answer.set_result(result)

    return client.async_infer(model, inputs, call_back, **options), answer


def status_of(call):
    """The name of a finished call's status, such as OK. Waits for the call."""
    try:
        call.result(PATIENCE)
    except (grpc.RpcError, grpc.FutureCancelledError):
        pass
    return call.code().name


def slow_request(milliseconds, model="identity", **fields):
    """Work that takes a known time and can be cancelled."""
    request = raw_request(model, ("input", "FP32", [2], bytes(8)), **fields)
    request.parameters["delay_ms"].int64_param = milliseconds
    return request
