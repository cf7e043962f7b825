"""The host's side of host.proto: one model of a skillset, worked by the thread that calls `serve`."""

from __future__ import annotations

import enum
import os
import select
import socket
import sys
import threading
from collections.abc import Callable

from . import _host_pb2 as wire
from ._batch import HostBatch, WarmUpItem, log_exception
from ._frames import Reader, Writer
from ._messages import (CONTRACT, BrokenContract, batching_to_wire, device_to_wire, failure_of, metric_to_wire, option_to_wire,
                        request_from_wire, request_to_wire, settings_from_wire, signature_to_wire)
from .cancel import CancelToken
from .errors import Code, SkillsetError
from .skillset import Batch, Skillset


class Exit(enum.IntEnum):
    """What a host ends with; the numbers are those of <sysexits.h>."""

    OK = 0  # the node has closed its end of the socket
    USAGE = 64  # wrong arguments, or descriptor 3 is not what it should be
    CONTRACT = 65  # the node said what host.proto doesn't allow
    MISSING = 66  # the skillset is not there
    INTERNAL = 70  # the skillset can't be imported or described, or the host itself failed


class _Stage(enum.Enum):
    """How far the conversation has come, which says what the node may ask for."""

    FRESH = enum.auto()
    LOADING = enum.auto()
    READY = enum.auto()
    BUSY = enum.auto()
    FAILED = enum.auto()


def say(text: str) -> None:
    """In one piece, or a line of the skillset could come between."""
    sys.stderr.write(f"troupe-skillset: {text}\n")
    sys.stderr.flush()


def end_process(how: Exit) -> None:
    """Without another step: no destructor and no exit handler of a skillset runs."""
    os._exit(how)


class Server:
    """One conversation. A second thread reads, so that a Cancel arrives while work runs; a third does nothing but wait
    for the node's end of the socket to close, and then ends the process: whatever a skillset does, short of holding
    Python's own lock for ever, can't keep it from that. When the node itself dies, the system ends the process."""

    def __init__(self, connection: socket.socket, end: Callable[[Exit], None] = end_process) -> None:
        """From here on the process ends when the socket closes. `end` is called once, as the last thing; a test gives
        one that returns, after which `serve` does, too."""
        self._connection = connection
        self._end_process = end
        self._writer = Writer(connection)
        self._load_token = CancelToken()
        self._changed = threading.Condition()
        self._stage = _Stage.FRESH
        self._load: wire.Load | None = None  # until it is begun
        self._waiting: HostBatch | None = None  # until it is begun
        self._batch: HostBatch | None = None  # until its Done
        self._over: Exit | None = None
        self._skillset: Skillset | None = None
        for work in (self._watch, self._read_all):
            threading.Thread(target=work, name=f"troupe {work.__name__.strip('_')}", daemon=True).start()

    def serve(self, skillset: Skillset) -> Exit:
        """Says Hello and does what the node asks for. Returns only where `end` does."""
        self._skillset = skillset
        try:
            hello = self._hello(skillset)
        except BaseException as error:
            log_exception(error)
            self._fail(f"describing the skillset failed: {type(error).__name__}: {error}", Exit.INTERNAL)
            return self._how_it_ended()
        self._writer.write(hello)
        if (load := self._next_load()) is not None:
            self._do_load(skillset, load)
        while (batch := self._next_batch()) is not None:
            failure = batch.run(skillset)
            self._give(_Stage.READY, wire.FromHost(done=wire.Done(failure=failure, metrics=self._measured(skillset))))
        return self._how_it_ended()

    # -- the conversation ---------------------------------------------------------------------------------------------

    def _end(self, how: Exit) -> None:
        with self._changed:
            if self._over is not None:
                return
            self._over = how
            self._changed.notify_all()
        self._end_process(how)

    def _fail(self, why: str, how: Exit) -> None:
        say(why)
        self._end(how)

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._connection, select.POLLRDHUP)
        while not poll.poll():
            pass
        self._end(Exit.OK)

    def _read_all(self) -> None:
        reader = Reader(self._connection)
        try:
            while (message := reader.read()) is not None:
                self._take(message)
            self._end(Exit.OK)
        except BrokenContract as error:
            self._fail(f"INVALID_ARGUMENT: the node breaks the contract of host.proto: {error} (use a troupe-node and a "
                       "troupe-skillset of the same version)", Exit.CONTRACT)
        except BaseException as error:
            self._fail(f"INTERNAL: reading from the node failed: {type(error).__name__}: {error}", Exit.INTERNAL)

    # -- what the node says, on the reader's thread -------------------------------------------------------------------

    def _take(self, message: wire.ToHost) -> None:
        match message.WhichOneof("what"):
            case "load":
                self._take_load(message.load)
            case "run":
                self._take_run(message.run)
            case "cancel":
                self._take_cancel(message.cancel)
            case None:
                raise BrokenContract("a message that says nothing")
            case other:
                raise BrokenContract(f"a message of the kind '{other}' to a model that works on batches")

    def _take_load(self, load: wire.Load) -> None:
        with self._changed:
            if self._stage is not _Stage.FRESH:
                raise BrokenContract("a second Load")
            self._stage = _Stage.LOADING
            self._load = load
            self._changed.notify_all()

    def _take_run(self, run: wire.Run) -> None:
        if not run.items:
            raise BrokenContract("a run has no requests")
        requests = [request_from_wire(item) for item in run.items]
        with self._changed:
            if self._stage is not _Stage.READY or self._skillset is None:
                raise BrokenContract("a Run before the Done of the one before" if self._stage is _Stage.BUSY
                                     else "a Run without a Loaded before it")
            self._stage = _Stage.BUSY
            self._batch = self._waiting = HostBatch(requests, self._skillset.signature, self._writer.write)
            self._changed.notify_all()

    def _take_cancel(self, cancel: wire.Cancel) -> None:
        with self._changed:
            batch, stage = self._batch, self._stage
        # Not under the lock: whoever watches a token is called from here.
        if stage is _Stage.LOADING:
            self._load_token._cancel()
        elif stage is not _Stage.BUSY or batch is None:
            return  # its Done was under way already
        elif not cancel.HasField("item"):
            batch.cancel()
        elif cancel.item < len(batch.items):
            batch.cancel(cancel.item)
        else:
            raise BrokenContract(f"there is no request {cancel.item} in the batch")

    # -- what becomes of it, on the thread that serves ----------------------------------------------------------------

    def _next_load(self) -> wire.Load | None:
        with self._changed:
            self._changed.wait_for(lambda: self._over is not None or self._load is not None)
            load, self._load = self._load, None
            return load if self._over is None else None

    def _next_batch(self) -> HostBatch | None:
        with self._changed:
            self._changed.wait_for(lambda: self._over is not None or self._waiting is not None)
            batch, self._waiting = self._waiting, None
            return batch if self._over is None else None

    def _how_it_ended(self) -> Exit:
        with self._changed:
            self._changed.wait_for(lambda: self._over is not None)
            assert self._over is not None
            return self._over

    def _give(self, stage: _Stage, message: wire.FromHost) -> None:
        """The node may answer as soon as it has the message: what it may say next is settled before."""
        with self._changed:
            self._stage = stage
            self._batch = None
        self._writer.write(message)

    @staticmethod
    def _hello(skillset: Skillset) -> wire.FromHost:
        hello = wire.Hello(contract=CONTRACT, name=skillset.name, platform=skillset.platform, version=skillset.version,
                           options=map(option_to_wire, skillset.options))
        try:
            hello.devices.extend(map(device_to_wire, skillset.devices()))
        except BaseException as error:
            log_exception(error)
            say(f"devices unknown: {error}")
        return wire.FromHost(hello=hello)

    @staticmethod
    def _measured(skillset: Skillset) -> list[float]:
        """Nothing where there is nothing, or what is measured can't be told: that is no reason to fail a batch."""
        if not skillset.metrics:
            return []
        try:
            values = [float(value) for value in skillset.measure()]
            if len(values) != len(skillset.metrics):
                raise ValueError(f"{len(values)} values for {len(skillset.metrics)} metrics")
            return values
        except BaseException as error:
            log_exception(error)
            return []

    def _do_load(self, skillset: Skillset, load: wire.Load) -> None:
        try:
            loaded = self._make_ready(skillset, load)
        except BaseException as error:
            log_exception(error)
            self._give(_Stage.FAILED, wire.FromHost(load_failed=failure_of(error, "loading the model")))
        else:
            self._give(_Stage.READY, wire.FromHost(loaded=loaded))

    def _make_ready(self, skillset: Skillset, load: wire.Load) -> wire.Loaded:
        try:
            settings = settings_from_wire(load)
        except BrokenContract as error:
            raise SkillsetError(Code.INVALID_ARGUMENT, str(error)) from None
        skillset.load(settings, self._load_token)
        self._load_token.check()
        request = skillset.warm_up()
        loaded = wire.Loaded(signature=signature_to_wire(skillset.signature), warm_up=request_to_wire(request))
        batching_to_wire(skillset.batching, loaded)
        loaded.metrics.extend(map(metric_to_wire, skillset.metrics))
        item = WarmUpItem(request, skillset.signature, self._load_token)
        try:
            skillset.run(Batch([item], self._load_token))
            if item.outcome is not None:
                raise item.outcome
        except SkillsetError as error:
            raise SkillsetError(error.code, f"the warm-up failed: {error.cause}", error.remedy) from None
        except BaseException as error:
            log_exception(error)
            failure = failure_of(error, "the skillset")
            raise SkillsetError(Code(failure.code), f"the warm-up failed: {failure.cause}", failure.remedy) from None
        if not item.ended:
            self._load_token.check()
            raise SkillsetError(Code.INTERNAL, "the warm-up failed: the skillset gave no answer")
        return loaded
