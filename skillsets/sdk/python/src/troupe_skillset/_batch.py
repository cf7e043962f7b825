"""The requests of one Run on their way through a skillset, and their answers on the way back."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Sequence

from . import _host_pb2 as wire
from ._messages import failure_of, response_to_wire
from .cancel import CancelToken
from .errors import Code, SkillsetError
from .skillset import Batch, Item, Signature, Skillset
from .tensor import Request, Response

Write = Callable[[wire.FromHost], None]


def log_exception(error: BaseException) -> None:
    """Where it came from is for the node's log, and not for a client."""
    if not isinstance(error, SkillsetError):
        print("".join(traceback.format_exception(error)), end="", file=sys.stderr, flush=True)


class _ItemOf(Item):
    """A request to a model with this signature."""

    def __init__(self, request: Request, signature: Signature, token: CancelToken) -> None:
        self._request = request
        self._signature = signature
        self._token = token

    @property
    def request(self) -> Request:
        return self._request

    @property
    def token(self) -> CancelToken:
        return self._token

    def _check_decoupled(self) -> None:
        if not self._signature.decoupled:
            raise SkillsetError(Code.INTERNAL, "the model is not decoupled, and a request has one response")


class HostItem(_ItemOf):
    """A request whose answers are written to the node."""

    def __init__(self, index: int, request: Request, signature: Signature, write: Write) -> None:
        super().__init__(request, signature, CancelToken())
        self._index = index
        self._write = write
        self._lock = threading.Lock()
        self._ended = False

    def send(self, response: Response) -> None:
        self._check_decoupled()
        self._answer(lambda: response_to_wire(response, self._signature), last=False)

    def respond(self, answer: Response | BaseException) -> None:
        if isinstance(answer, Response):
            self._answer(lambda: response_to_wire(answer, self._signature), last=True)
            return
        if not (self._ended or self._token.cancelled):
            log_exception(answer)
        self._answer(lambda: failure_of(answer, "the skillset"), last=True)

    def complete(self) -> None:
        self._answer(lambda: None, last=True)

    def close(self) -> None:
        """From here on nothing is said any more: the batch is over."""
        with self._lock:
            self._ended = True

    def _answer(self, make: Callable[[], wire.Response | wire.Failure | None], last: bool) -> None:
        with self._lock:
            if self._ended or self._token.cancelled:
                return
            try:
                self._say(make(), last)
                self._ended = last
            except Exception as error:
                self._say(failure_of(error, "answering"), True)
                self._ended = True

    def _say(self, outcome: wire.Response | wire.Failure | None, last: bool) -> None:
        answer = wire.Answer(item=self._index, last=last)
        if isinstance(outcome, wire.Response):
            answer.response.CopyFrom(outcome)
        elif isinstance(outcome, wire.Failure):
            answer.failure.CopyFrom(outcome)
        self._write(wire.FromHost(answer=answer))


class HostBatch:
    """A batch that one thread runs and another may cancel."""

    def __init__(self, requests: Sequence[Request], signature: Signature, write: Write) -> None:
        self.items = [HostItem(index, request, signature, write) for index, request in enumerate(requests)]
        self._token = CancelToken()

    def run(self, skillset: Skillset) -> wire.Failure | None:
        """What it came to as a whole. Requests without a last word get none here."""
        try:
            skillset.run(Batch(self.items, self._token))
            return None
        except BaseException as error:  # SystemExit and KeyboardInterrupt are the skillset's as well
            log_exception(error)
            return failure_of(error, "the skillset")
        finally:
            for item in self.items:
                item.close()

    def cancel(self, index: int | None = None) -> None:
        """Takes back one request, or all. When none is wanted any more, the batch isn't either."""
        for item in self.items if index is None else [self.items[index]]:
            item.token._cancel()
        if all(item.token.cancelled for item in self.items):
            self._token._cancel()


class WarmUpItem(_ItemOf):
    """The request of a warm-up, whose answers nobody gets to see."""

    def __init__(self, request: Request, signature: Signature, token: CancelToken) -> None:
        super().__init__(request, signature, token)
        self.outcome: BaseException | None = None
        self.ended = False

    def send(self, response: Response) -> None:
        self._check_decoupled()
        if not self.ended:
            response_to_wire(response, self._signature)

    def respond(self, answer: Response | BaseException) -> None:
        if self.ended:
            return
        self.ended = True
        if not isinstance(answer, Response):
            self.outcome = answer
            return
        try:
            response_to_wire(answer, self._signature)
        except Exception as error:
            self.outcome = error

    def complete(self) -> None:
        self.ended = True
