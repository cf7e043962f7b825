"""The contract that a skillset is written against."""

from __future__ import annotations

import abc
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

from .cancel import CancelToken
from .errors import Code, SkillsetError
from .tensor import Parameter, Request, Response, Tensor


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """What an input or output looks like. An extent of -1 may be anything; `any_rank` leaves the axes open, too."""

    name: str
    datatype: str
    shape: Sequence[int] = ()
    any_rank: bool = False


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a model takes and gives.

    When `batches`, the first axis of every input counts independent items, equally many in each, and so does the first
    axis of every output. When `decoupled`, a request may have any number of responses; else it has one.
    """

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    batches: bool = False
    decoupled: bool = False


@dataclasses.dataclass(frozen=True)
class Option:
    """One option in the `[options]` table of a model.toml. Its type is that of `default`."""

    name: str
    default: Parameter
    choices: Sequence[str] = ()  # of a text; none: it may be any
    least: float = 0  # of a number, included
    most: float = 0  # of a number, included; both 0: it may be any


@dataclasses.dataclass(frozen=True)
class Device:
    """A device as the skillset's runtime finds it."""

    name: str  # what `device` in model.toml calls it, such as GPU
    runtime: str = ""
    version: str = ""
    full_name: str = ""
    capabilities: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class LinearCost:
    """A cost that follows from the size of a request's first input.

    Each item along its first axis costs `fixed` units, and one more for every `bytes_per_unit` of its bytes, `most` at
    most (0: any).
    """

    fixed: int = 1
    bytes_per_unit: int = 1
    most: int = 0


@dataclasses.dataclass(frozen=True)
class Batching:
    """How many requests may run together. What is 0 is not bounded."""

    items: int = 1  # along the first axis, of all requests together
    units: int = 0  # that they cost
    cost: LinearCost | None = None  # None: a unit for each item


@dataclasses.dataclass(frozen=True)
class Metric:
    """Something that a skillset counts or gauges, beyond what the node counts of every model."""

    name: str  # up to 64 lower-case letters, digits and `_`, the first one a letter, such as prompt_tokens
    help: str  # what it is, in up to 256 printable characters of ASCII
    gauge: bool = False  # it can fall; else it counts, from the start of the process on


@dataclasses.dataclass(frozen=True)
class Settings:
    """A model as its folder describes it, with all of its files present and their hashes checked."""

    name: str
    folder: pathlib.Path
    files: Mapping[str, pathlib.Path]  # role, such as `weights`, to path
    options: Mapping[str, Parameter]  # every option that the skillset declares, with its value
    device: str  # such as CPU
    instances: int  # how many will run at once, each in a process of its own
    threads: int  # that this one may use while it runs

    def file(self, role: str) -> pathlib.Path:
        """NOT_FOUND when the model has no such file."""
        if role in self.files:
            return self.files[role]
        raise SkillsetError(Code.NOT_FOUND, f"the model has no file for '{role}'",
                            f"add {role} = {{ path = …, sha256 = … }} to [files] in its model.toml")


class Item(abc.ABC):
    """One request of a batch, and where its answers go.

    What is given after the last word, or after the request was cancelled, is dropped.
    """

    @property
    @abc.abstractmethod
    def request(self) -> Request: ...

    @property
    @abc.abstractmethod
    def token(self) -> CancelToken:
        """Cancelled once nobody wants the answers of this request any more; its neighbours may go on."""

    @abc.abstractmethod
    def send(self, response: Response) -> None:
        """Gives a response after which more may come; of a decoupled model only."""

    @abc.abstractmethod
    def respond(self, answer: Response | BaseException) -> None:
        """The last word: a response, or the error that the request ends with."""

    @abc.abstractmethod
    def complete(self) -> None:
        """The last word of a decoupled request that has no further response."""


class Batch(Sequence[Item]):
    """Requests that run together, never none."""

    def __init__(self, items: Sequence[Item], token: CancelToken) -> None:
        self._items = items
        self.token = token  # cancelled once none of them is wanted

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        return self._items[index]


class Skillset:
    """What can do one task with any model of that task. Derive from it, and say what it is by its attributes.

    Each instance of a model is a process of its own with one object of the class, which loads once and then works on one
    batch at a time. `answer` is for one request at a time, `run` for a whole batch: one of them is to be overridden.
    """

    name: str  # that model.toml refers to; the manifest is called after it
    platform: str = "python"  # what it runs on, such as onnxruntime
    version: str = ""
    options: Sequence[Option] = ()
    signature: Signature  # may also be set by `load`
    batching: Batching = Batching()  # may also be set by `load`
    metrics: Sequence[Metric] = ()  # 32 at most, no name twice; may also be set by `load`

    def devices(self) -> Sequence[Device]:
        """Those on which models can be loaded; none where it computes on the processor, and nowhere else."""
        return ()

    def load(self, settings: Settings, token: CancelToken) -> None:
        """Loads the model; may take as long as it needs, and looks at the token meanwhile."""

    def warm_up(self) -> Request:
        """A request that exercises the whole model, which is ready only after it has answered it."""
        return Request([_zeros(spec) for spec in self.signature.inputs])

    def answer(self, request: Request, token: CancelToken) -> Response | Iterable[Response]:
        """Answers one request: with a response, or, of a decoupled model, with any number, as in a generator."""
        raise SkillsetError(Code.UNIMPLEMENTED, f"skillset '{self.name}' has neither an answer nor a run of its own")

    def run(self, batch: Batch) -> None:
        """Works on a batch. Each item gets its last word before this returns. An exception is the end of those that have
        none yet: the node runs them again in halves, to find out whose fault it is."""
        for item in batch:
            if not item.token.cancelled:
                _answer(self, item)

    def measure(self) -> Sequence[float]:
        """The values of all `metrics` at this moment, in their order. Asked after every batch; must be quick."""
        return ()


def _answer(skillset: Skillset, item: Item) -> None:
    """One request at a time: what goes wrong with it is its own."""
    try:
        answer = skillset.answer(item.request, item.token)
        if isinstance(answer, Response):
            return item.respond(answer)
        for response in answer:
            item.send(response)
            if item.token.cancelled:
                return None
        return item.complete()
    except BaseException as error:  # whatever it is, it is contained
        return item.respond(error)


def _zeros(spec: TensorSpec) -> Tensor:
    shape = [1] if spec.any_rank else [1 if extent < 0 else extent for extent in spec.shape]
    count = math.prod(shape)
    datatype = "FP32" if spec.datatype == "ANY" else spec.datatype
    if datatype == "BF16":
        return Tensor(spec.name, datatype, tuple(shape), bytes(2 * count))
    return Tensor.of(spec.name, datatype, [b"" if datatype == "BYTES" else 0] * count, shape)
