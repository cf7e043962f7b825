"""Between the contract's types and their messages. What comes from the node is checked."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, MutableMapping
from typing import Protocol

from . import _host_pb2 as wire
from .errors import Code, SkillsetError
from .skillset import Batching, Device, LinearCost, Metric, Option, Settings, Signature, TensorSpec
from .tensor import _SIZES, Parameter, Request, Response, Tensor

# Of what both sides speak, as Hello says it.
CONTRACT = 1

_DATATYPES = {"ANY", "BYTES", *_SIZES}


class BrokenContract(Exception):
    """The node said what host.proto doesn't allow."""


class _ParameterMap(Protocol):
    def __getitem__(self, name: str, /) -> wire.Parameter: ...


def parameter_to_wire(value: Parameter, to: wire.Parameter) -> None:
    if isinstance(value, bool):
        to.bool_value = value
    elif isinstance(value, int):
        if value >= 1 << 63:
            to.uint64_value = value
        else:
            to.int64_value = value
    elif isinstance(value, float):
        to.double_value = value
    elif isinstance(value, str):
        to.string_value = value
    else:
        raise TypeError(f"a parameter is a bool, an int, a float or a str, and not {type(value).__name__}")


def parameter_from_wire(value: wire.Parameter) -> Parameter:
    match value.WhichOneof("value"):
        case "bool_value":
            return value.bool_value
        case "int64_value":
            return value.int64_value
        case "uint64_value":
            return value.uint64_value
        case "double_value":
            return value.double_value
        case "string_value":
            return value.string_value
    raise BrokenContract("a parameter has no value")


def _parameters_to_wire(values: Iterable[tuple[str, Parameter]], to: _ParameterMap) -> None:
    for name, value in values:
        parameter_to_wire(value, to[name])


def _parameters_from_wire(values: MutableMapping[str, wire.Parameter]) -> dict[str, Parameter]:
    return {name: parameter_from_wire(value) for name, value in values.items()}


def failure_of(error: BaseException, doing: str) -> wire.Failure:
    """What the node gets to hear of an exception."""
    if isinstance(error, SkillsetError):
        return wire.Failure(code=error.code, cause=error.cause, remedy=error.remedy)
    if isinstance(error, MemoryError):
        return wire.Failure(code=Code.RESOURCE_EXHAUSTED, cause=f"{doing} failed: there is no memory left",
                            remedy="let the model's process have more memory")
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return wire.Failure(code=Code.INTERNAL, cause=f"{doing} failed: {text}")


def option_to_wire(option: Option) -> wire.Option:
    message = wire.Option(name=option.name, choices=option.choices, least=option.least, most=option.most)
    parameter_to_wire(option.default, message.fallback)
    return message


def device_to_wire(device: Device) -> wire.Device:
    return wire.Device(name=device.name, full_name=device.full_name, runtime=device.runtime, version=device.version,
                       capabilities=device.capabilities)


def settings_from_wire(load: wire.Load) -> Settings:
    return Settings(name=load.name, folder=pathlib.Path(load.folder),
                    files={role: pathlib.Path(path) for role, path in load.files.items()},
                    options=_parameters_from_wire(load.options), device=load.device, instances=load.instances,
                    threads=max(1, load.threads))


def _spec_to_wire(spec: TensorSpec) -> wire.TensorSpec:
    if spec.datatype not in _DATATYPES:
        raise ValueError(f"'{spec.name}' has datatype '{spec.datatype}', which there is not")
    return wire.TensorSpec(name=spec.name, datatype=spec.datatype, shape=spec.shape, any_rank=spec.any_rank)


def signature_to_wire(what: Signature) -> wire.Signature:
    return wire.Signature(inputs=map(_spec_to_wire, what.inputs), outputs=map(_spec_to_wire, what.outputs),
                          batches=what.batches, decoupled=what.decoupled)


def batching_to_wire(batching: Batching, to: wire.Loaded) -> None:
    to.limits.items = batching.items
    to.limits.units = batching.units
    cost: LinearCost | None = batching.cost
    if cost is not None:
        to.cost.fixed, to.cost.bytes_per_unit, to.cost.most = cost.fixed, cost.bytes_per_unit, cost.most


def metric_to_wire(metric: Metric) -> wire.Metric:
    return wire.Metric(name=metric.name, help=metric.help, gauge=metric.gauge)


def _tensor_to_wire(tensor: Tensor) -> wire.Tensor:
    return wire.Tensor(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape, data=bytes(tensor.data))


def _tensor_from_wire(tensor: wire.Tensor) -> Tensor:
    if tensor.datatype not in _DATATYPES:
        raise BrokenContract(f"there is no datatype '{tensor.datatype}'")
    return Tensor(tensor.name, tensor.datatype, tuple(tensor.shape), tensor.data)


def request_to_wire(request: Request) -> wire.Request:
    message = wire.Request(inputs=map(_tensor_to_wire, request.inputs))
    _parameters_to_wire(request.parameters.items(), message.parameters)
    return message


def request_from_wire(message: wire.Request) -> Request:
    return Request([_tensor_from_wire(tensor) for tensor in message.inputs], _parameters_from_wire(message.parameters))


def response_to_wire(response: Response, what: Signature) -> wire.Response:
    """With its outputs in the signature's order. INTERNAL for one that is missing, too many, or not what it should be."""
    outputs = {output.name: output for output in response.outputs}
    if len(outputs) != len(response.outputs) or outputs.keys() != {spec.name for spec in what.outputs}:
        raise SkillsetError(Code.INTERNAL, "the skillset gave the outputs "
                            f"{[output.name for output in response.outputs]}, and not "
                            f"{[spec.name for spec in what.outputs]}")
    for spec in what.outputs:
        output = outputs[spec.name]
        if (spec.datatype not in ("ANY", output.datatype)) or not output.is_whole():
            raise SkillsetError(Code.INTERNAL, f"the skillset gave output '{output.name}' as "
                                f"{output.datatype}{list(output.shape)} in {len(bytes(output.data))} bytes, which it "
                                "can't be")
    message = wire.Response(outputs=[_tensor_to_wire(outputs[spec.name]) for spec in what.outputs])
    _parameters_to_wire(response.parameters.items(), message.parameters)
    return message
