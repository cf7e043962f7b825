"""The conversation with a node: every rule of host.proto, and no exception that gets out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Sequence

import pytest
from conftest import PATIENCE, Host, number, values_of

from troupe_skillset import (Batch, Batching, Cancelled, CancelToken, Code, Device, LinearCost, Metric, Option, Request,
                             Response, Settings, Signature, Skillset, SkillsetError, Tensor, TensorSpec)
from troupe_skillset import _host_pb2 as wire
from troupe_skillset._server import Exit, Server

Make = Callable[[Skillset], Host]


def doubled(request: Request) -> Response:
    return Response([Tensor.of("out", "FP32", [2 * value for value in request.input("in").values()])])


class Double(Skillset):
    name = "double"
    platform = "test"
    version = "1.2"
    options = (Option("flag", True), Option("count", 3, least=1, most=10), Option("ratio", 0.5),
               Option("mode", "fast", choices=("fast", "slow")))
    signature = Signature([TensorSpec("in", "FP32", [-1])], [TensorSpec("out", "FP32", [-1])], batches=True)
    batching = Batching(items=8, units=64, cost=LinearCost(2, 4, 16))

    def answer(self, request: Request, token: CancelToken) -> Response | Iterable[Response]:
        return doubled(request)


class Told(Double):
    """Does what the test says."""

    def __init__(self, run: Callable[[Batch], None] | None = None,
                 load: Callable[[Settings, CancelToken], None] | None = None, decoupled: bool = False) -> None:
        self._run, self._load, self._warm = run, load, False
        self.signature = Signature(Double.signature.inputs, Double.signature.outputs, True, decoupled)

    def load(self, settings: Settings, token: CancelToken) -> None:
        if self._load is not None:
            self._load(settings, token)

    def run(self, batch: Batch) -> None:
        if self._run is None or not self._warm:  # the first batch is the warm-up
            self._warm = True
            for item in batch:
                item.respond(doubled(item.request))
        else:
            self._run(batch)


class Failing(Double):
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def answer(self, request: Request, token: CancelToken) -> Response | Iterable[Response]:
        if "fail" in request.parameters:
            raise self._error
        return doubled(request)


def test_says_hello_at_once(host: Make) -> None:
    hello = host(Double()).hello
    assert (hello.contract, hello.name, hello.platform, hello.version) == (1, "double", "test", "1.2")
    flag, count, ratio, mode = hello.options
    assert (flag.name, flag.fallback.bool_value) == ("flag", True)
    assert flag.fallback.WhichOneof("value") == "bool_value"
    assert (count.fallback.int64_value, count.least, count.most) == (3, 1, 10)
    assert ratio.fallback.double_value == 0.5
    assert (mode.fallback.string_value, list(mode.choices)) == ("fast", ["fast", "slow"])


def test_tells_its_devices_or_that_it_cannot(host: Make, capsys: pytest.CaptureFixture[str]) -> None:
    class OnCard(Double):
        def devices(self) -> list[Device]:
            return [Device("GPU", "Engine", "7", "A Card", ["FP16"])]

    class Lost(Double):
        def devices(self) -> list[Device]:
            raise RuntimeError("no driver")

    hello = host(OnCard()).hello
    [device] = hello.devices
    assert (device.name, device.runtime, device.version, device.full_name) == ("GPU", "Engine", "7", "A Card")
    assert not host(Lost()).hello.devices
    assert "devices unknown: no driver" in capsys.readouterr().err


def test_a_skillset_that_cannot_be_described_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    class Nameless(Skillset):
        pass

    assert Host(Nameless()).exit() is Exit.INTERNAL
    assert "describing the skillset failed" in capsys.readouterr().err


def test_loads_a_model_and_warms_it_up(host: Make) -> None:
    seen: list[Settings] = []
    loaded = host(Told(load=lambda settings, token: seen.append(settings))).node.load({"count": 4, "mode": "slow"}).loaded
    [settings] = seen
    assert (settings.name, str(settings.folder), settings.device) == ("model", "/models/model", "CPU")
    assert (settings.instances, settings.threads) == (2, 3)
    assert settings.options == {"count": 4, "mode": "slow"}
    assert str(settings.file("weights")) == "/models/model/w"
    with pytest.raises(SkillsetError, match="no file for 'vocabulary'"):
        settings.file("vocabulary")
    assert [(spec.name, spec.datatype, list(spec.shape)) for spec in loaded.signature.inputs] == [("in", "FP32", [-1])]
    assert loaded.signature.batches and not loaded.signature.decoupled and not loaded.signature.stateful
    assert (loaded.limits.items, loaded.limits.units) == (8, 64)
    assert (loaded.cost.fixed, loaded.cost.bytes_per_unit, loaded.cost.most) == (2, 4, 16)
    assert [list(tensor.shape) for tensor in loaded.warm_up.inputs] == [[1]]


@pytest.mark.parametrize("error, code, cause", [
    (SkillsetError(Code.NOT_FOUND, "no weights", "fetch them"), Code.NOT_FOUND, "no weights"),
    (ValueError("bad layer"), Code.INTERNAL, "loading the model failed: ValueError: bad layer"),
    (MemoryError(), Code.RESOURCE_EXHAUSTED, "loading the model failed: there is no memory left"),
    (KeyboardInterrupt(), Code.INTERNAL, "loading the model failed: KeyboardInterrupt"),
    (SystemExit(3), Code.INTERNAL, "loading the model failed: SystemExit: 3"),
])
def test_no_exception_of_a_load_gets_out(host: Make, error: BaseException, code: Code, cause: str) -> None:
    def fail(settings: Settings, token: CancelToken) -> None:
        raise error

    made = host(Told(load=fail))
    failed = made.node.load().load_failed
    assert (failed.code, failed.cause) == (code, cause)
    assert made.close() is Exit.OK


def test_a_warm_up_that_fails_is_a_load_that_fails(host: Make) -> None:
    class Cold(Double):
        def answer(self, request: Request, token: CancelToken) -> Response:
            raise SkillsetError(Code.DATA_LOSS, "numbers are wrong", "train it")

    class Wrong(Double):
        def answer(self, request: Request, token: CancelToken) -> Response:
            return Response([Tensor.of("other", "FP32", [1])])

    class Silent(Double):
        def run(self, batch: Batch) -> None:
            pass

    failed = host(Cold()).node.load().load_failed
    assert (failed.code, failed.cause, failed.remedy) == (
        Code.DATA_LOSS, "the warm-up failed: numbers are wrong", "train it")
    failed = host(Wrong()).node.load().load_failed
    assert failed.code == Code.INTERNAL and "['other'], and not ['out']" in failed.cause
    assert "gave no answer" in host(Silent()).node.load().load_failed.cause


def test_a_load_can_be_cancelled(host: Make) -> None:
    began = threading.Event()

    def load(settings: Settings, token: CancelToken) -> None:
        began.set()
        token.wait(PATIENCE)
        token.check()

    node = host(Told(load=load)).node
    node.say_load()
    assert began.wait(PATIENCE)
    node.cancel()
    assert node.next().load_failed.code == Code.CANCELLED


def test_runs_batch_after_batch(host: Make) -> None:
    made = host(Double())
    made.node.load()
    for value in (1.0, 2.0):
        made.node.run(number(value), number(value + 10))
        answers, done = made.node.answers()
        assert [(answer.item, answer.last, list(values_of(answer))) for answer in answers] == [
            (0, True, [2 * value]), (1, True, [2 * value + 20])]
        assert not done.HasField("failure")
    assert made.close() is Exit.OK


@pytest.mark.parametrize("error, code, cause", [
    (SkillsetError(Code.OUT_OF_RANGE, "too much", "less"), Code.OUT_OF_RANGE, "too much"),
    (ZeroDivisionError("by 0"), Code.INTERNAL, "the skillset failed: ZeroDivisionError: by 0"),
    (SystemExit("enough"), Code.INTERNAL, "the skillset failed: SystemExit: enough"),
    (KeyboardInterrupt(), Code.INTERNAL, "the skillset failed: KeyboardInterrupt"),
])
def test_a_request_that_fails_alone_is_answered_alone(host: Make, error: BaseException, code: Code, cause: str) -> None:
    node = host(Failing(error)).node
    node.load()
    node.run(number(1), number(2, fail=True), number(3))
    answers, done = node.answers()
    assert [list(values_of(answers[i])) for i in (0, 2)] == [[2], [6]]
    assert (answers[1].item, answers[1].failure.code, answers[1].failure.cause, answers[1].last) == (1, code, cause, True)
    assert not done.HasField("failure")


def test_a_batch_that_fails_says_so_and_the_next_one_runs(host: Make) -> None:
    failing = True

    def run(batch: Batch) -> None:
        batch[0].respond(doubled(batch[0].request))
        if failing:
            raise SystemExit("down")
        batch[1].respond(doubled(batch[1].request))

    node = host(Told(run)).node
    node.load()
    node.run(number(1), number(2))
    answers, done = node.answers()
    assert [answer.item for answer in answers] == [0]
    assert (done.failure.code, done.failure.cause) == (Code.INTERNAL, "the skillset failed: SystemExit: down")
    failing = False
    node.run(number(1), number(2))
    answers, done = node.answers()
    assert [answer.item for answer in answers] == [0, 1] and not done.HasField("failure")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_decoupled_request_has_as_many_answers_as_it_likes(host: Make, count: int) -> None:
    class Repeat(Double):
        signature = Signature(Double.signature.inputs, Double.signature.outputs, batches=True, decoupled=True)

        def answer(self, request: Request, token: CancelToken) -> Iterable[Response]:
            for _ in range(count):
                yield doubled(request)

    node = host(Repeat()).node
    assert node.load().loaded.signature.decoupled
    node.run(number(4))
    answers, done = node.answers()
    assert [answer.last for answer in answers] == [False] * count + [True]
    assert answers[-1].WhichOneof("outcome") is None
    assert all(list(values_of(answer)) == [8] for answer in answers[:-1])


def test_a_stream_that_fails_ends_with_why(host: Make) -> None:
    class Break(Double):
        signature = Signature(Double.signature.inputs, Double.signature.outputs, batches=True, decoupled=True)

        def answer(self, request: Request, token: CancelToken) -> Iterable[Response]:
            yield doubled(request)
            if "break" in request.parameters:
                raise SkillsetError(Code.ABORTED, "half way")

    node = host(Break()).node
    node.load()
    node.run(number(4, **{"break": True}))
    first, last = node.answers()[0]
    assert (first.last, last.last, last.failure.cause) == (False, True, "half way")


def test_a_model_that_is_not_decoupled_has_one_response(host: Make) -> None:
    node = host(Told(lambda batch: batch[0].send(doubled(batch[0].request)))).node
    node.load()
    node.run(number(1))
    answers, done = node.answers()
    assert not answers and "has one response" in done.failure.cause


def test_one_request_of_a_batch_can_be_cancelled(host: Make) -> None:
    tokens = []

    def run(batch: Batch) -> None:
        batch[0].token.wait(PATIENCE)
        tokens.extend([batch[0].token.cancelled, batch[1].token.cancelled, batch.token.cancelled])
        for item in batch:
            item.respond(doubled(item.request))

    node = host(Told(run)).node
    node.load()
    node.run(number(1), number(2))
    node.cancel(0)
    answers, done = node.answers()
    assert tokens == [True, False, False]
    assert [answer.item for answer in answers] == [1], "what is answered after a cancellation is dropped"
    assert not done.HasField("failure")


@pytest.mark.parametrize("items", [[None], [0, 1]])
def test_a_batch_none_of_which_is_wanted_is_cancelled(host: Make, items: list[int | None]) -> None:
    def run(batch: Batch) -> None:
        if "wait" in batch[0].request.parameters:
            batch.token.wait(PATIENCE)
            batch.token.check()
        for item in batch:
            item.respond(doubled(item.request))

    node = host(Told(run)).node
    node.load()
    node.run(number(1, wait=True), number(2))
    for item in items:
        node.cancel(item)
    answers, done = node.answers()
    assert not answers and done.failure.code == Code.CANCELLED
    node.cancel()  # of what is over: nothing
    node.run(number(3), number(4))
    assert [list(values_of(answer)) for answer in node.answers()[0]] == [[6], [8]]


def test_what_is_answered_too_late_or_twice_is_dropped(host: Make) -> None:
    kept: list[Batch] = []

    def run(batch: Batch) -> None:
        if kept:
            kept[0][1].respond(doubled(kept[0][1].request))
        kept.append(batch)
        batch[0].respond(doubled(batch[0].request))
        batch[0].respond(doubled(batch[0].request))
        batch[0].complete()

    node = host(Told(run)).node
    node.load()
    for _ in range(2):
        node.run(number(1), number(2))
        assert [answer.item for answer in node.answers()[0]] == [0]


def test_a_response_that_is_none_fails_alone(host: Make) -> None:
    def run(batch: Batch) -> None:
        batch[0].respond(Response([Tensor("out", "FP32", (2,), b"1234")]))
        batch[1].respond(Response([Tensor.of("out", "FP32", [1.0]), Tensor.of("more", "FP32", [1.0])]))
        batch[2].respond(Response([Tensor.of("out", "INT32", [1])]))
        batch[3].respond(Response([Tensor.of("out", "FP32", [1.0])], {"bad": object()}))  # type: ignore[dict-item]

    node = host(Told(run)).node
    node.load()
    node.run(*[number(1)] * 4)
    causes = [(answer.failure.code, answer.failure.cause) for answer in node.answers()[0]]
    assert [code for code, _ in causes] == [Code.INTERNAL] * 4
    for (_, cause), text in zip(causes, ["FP32[2] in 4 bytes", "['out', 'more'], and not ['out']", "INT32[1]",
                                         "a parameter is"], strict=True):
        assert text in cause


LOAD = wire.ToHost(load=wire.Load(name="m"))
RUN = wire.ToHost(run=wire.Run(items=[wire.Request()]))


@pytest.mark.parametrize("messages, why", [
    ([wire.ToHost()], "a message that says nothing"),
    ([RUN], "a Run without a Loaded before it"),
    ([LOAD, LOAD], "a second Load"),
    ([LOAD, None, wire.ToHost(run=wire.Run())], "a run has no requests"),
    ([LOAD, None, RUN, RUN], "a Run before the Done of the one before"),
    ([LOAD, None, RUN, wire.ToHost(cancel=wire.Cancel(item=1))], "there is no request 1 in the batch"),
    ([LOAD, None, wire.ToHost(run=wire.Run(items=[wire.Request(inputs=[wire.Tensor(datatype="FP8")])]))], "'FP8'"),
    ([LOAD, None, wire.ToHost(run=wire.Run(items=[wire.Request(parameters={"x": wire.Parameter()})]))], "no value"),
])
def test_a_node_that_breaks_the_contract_ends_it(host: Make, capsys: pytest.CaptureFixture[str],
                                                 messages: list[wire.ToHost | None], why: str) -> None:
    over: list[threading.Event] = []
    made = host(Told(lambda batch: None if over[0].wait(PATIENCE) else None))
    over.append(made.over)
    for message in messages:
        if message is None:
            made.node.next()
        else:
            made.node.say(message)
    assert made.exit() is Exit.CONTRACT
    said = capsys.readouterr().err
    assert "the node breaks the contract" in said and why in said


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 200 OK\r\n\r\n", b"\x02\x00\x00\x00\xff\xff", b"\xff\xff\xff\xff"])
def test_garbage_breaks_the_contract(host: Make, garbage: bytes) -> None:
    made = host(Double())
    made.node.send_bytes(garbage)
    assert made.exit() is Exit.CONTRACT


def test_ends_when_the_node_is_gone_in_the_middle_of_a_message(host: Make) -> None:
    made = host(Double())
    made.node.send_bytes(b"\x10\x00")
    assert made.close() is Exit.OK


def test_ends_when_the_socket_closes_whatever_runs() -> None:
    here, there = socket.socketpair()
    ended = threading.Event()
    Server(there, lambda how: ended.set())  # nothing serves: that is what a hang looks like
    here.close()
    assert ended.wait(PATIENCE)


def test_a_callback_that_fails_is_its_own_matter(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise SystemExit("bang")

    token = CancelToken()
    calls: list[int] = []
    token.on_cancel(fail)
    token.on_cancel(lambda: calls.append(1))
    assert token._cancel() and calls == [1]
    assert "SystemExit: bang" in capsys.readouterr().err


def test_cancelled_is_an_error_like_others() -> None:
    token = CancelToken()
    calls: list[int] = []
    token.check()
    token.on_cancel(lambda: calls.append(1))
    assert token._cancel() and not token._cancel()
    token.on_cancel(lambda: calls.append(2))
    assert calls == [1, 2]
    with pytest.raises(Cancelled, match="takes the work back"):
        token.check()


class Measuring(Double):
    metrics = (Metric("requests", "Requests that were answered"), Metric("largest", "The largest value", gauge=True))

    def __init__(self) -> None:
        self.values: Sequence[float] = ()

    def measure(self) -> Sequence[float]:
        return self.values


def test_tells_what_it_measures_after_every_batch(host: Make) -> None:
    skillset = Measuring()
    node = host(skillset).node
    assert [(metric.name, metric.help, metric.gauge) for metric in node.load().loaded.metrics] == [
        ("requests", "Requests that were answered", False), ("largest", "The largest value", True)]
    skillset.values = (1, 0.5)
    node.run(number(1))
    assert list(node.answers()[1].metrics) == [1, 0.5]


@pytest.mark.parametrize("values", [(), (1,), (1, 2, 3), ("one", 2), None])
def test_what_cannot_be_told_of_it_is_no_reason_to_fail(host: Make, values: Sequence[float],
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    skillset = Measuring()
    node = host(skillset).node
    node.load()
    skillset.values = values
    node.run(number(1))
    [answer], done = node.answers()
    assert answer.HasField("response") and not done.HasField("failure") and not done.metrics
    assert "Error" in capsys.readouterr().err
