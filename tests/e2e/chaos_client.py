"""Clients of test_chaos.py, a thread each: they ask at random until standard input ends, and tell in JSON what became of
it."""

import collections
import queue
import random
import sys
import threading
import json

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from messages import numbers, tensor
from streams import is_final, repetition

PATIENCE = 60
EXPECTED = {"StatusCode.RESOURCE_EXHAUSTED": "refused", "StatusCode.DEADLINE_EXCEEDED": "late",
            "StatusCode.CANCELLED": "cancelled"}


class Client:
    def __init__(self, address, seed):
        self.address = address
        self.chance = random.Random(seed)
        self.done = collections.Counter()
        self.wrong = []
        self.client = triton.InferenceServerClient(address)

    def check(self, right, what):
        self.done["answered"] += 1
        if not right:
            self.wrong.append(what)

    def fail(self, error):
        status = error.status()
        if status in EXPECTED:
            self.done[EXPECTED[status]] += 1
        else:
            self.wrong.append(str(error))

    def ask(self, model, inputs, check, **options):
        try:
            check(self.client.infer(model, inputs, **options))
        except InferenceServerException as error:
            self.fail(error)

    def echo(self):
        values = [self.chance.random() for _ in range(self.chance.choice([1, 10, 10000]))]
        wanted = np.array(values, np.float32)
        self.ask("identity", numbers(*values),
                 lambda answer: self.check((answer.as_numpy("output") == wanted).all(), "echo"),
                 parameters={"delay_ms": self.chance.choice([0, 0, 1, 20])},
                 client_timeout=self.chance.choice([None, None, 0.005, 5]))

    def add(self):
        left, right = (np.array([[self.chance.randrange(1000) for _ in range(16)]], np.int32) for _ in "ab")
        self.ask("simple", [tensor("INPUT0", left), tensor("INPUT1", right)],
                 lambda answer: self.check((answer.as_numpy("OUTPUT0") == left + right).all()
                                           and (answer.as_numpy("OUTPUT1") == left - right).all(), "sum"))

    def cancel(self):
        """Begins something long and changes its mind."""
        answers = queue.Queue()
        call = self.client.async_infer("identity", numbers(1), lambda result, error: answers.put((result, error)),
                                       parameters={"delay_ms": 600_000})
        threading.Event().wait(self.chance.random() / 20)
        call.cancel()
        result, error = answers.get(timeout=PATIENCE)
        self.fail(error) if error else self.wrong.append("an answer of what could not be done yet")
        if not answers.empty():
            self.wrong.append("two answers")

    def leave(self):
        """Has a connection of its own, and closes it in the middle."""
        with triton.InferenceServerClient(self.address) as other:
            for _ in range(3):
                other.async_infer("sleep", [tensor("DELAY", np.array([50], np.uint32))], lambda result, error: None)
        self.done["left"] += 1

    def stream(self):
        """Reads a decoupled model's responses, whole or in part."""
        values = [self.chance.randrange(1000) for _ in range(self.chance.randrange(1, 20))]
        got, ended = [], queue.Queue()
        with triton.InferenceServerClient(self.address) as other:
            def on_response(result, error):
                if error:
                    return ended.put(error)
                output = result.as_numpy("OUT")
                if output is not None:
                    got.extend(output.tolist())
                return ended.put(None) if is_final(result) else None

            other.start_stream(on_response)
            other.async_stream_infer("repeat_int32", repetition(values, [self.chance.randrange(3)] * len(values)),
                                     enable_empty_final_response=True)
            if self.chance.random() < 0.3:
                other.stop_stream(cancel_requests=True)
                self.done["left"] += 1
                return
            error = ended.get(timeout=PATIENCE)
            other.stop_stream()
        if error:
            self.fail_in_stream(error)
        else:
            self.check(got == values, f"stream: {got} instead of {values}")

    def fail_in_stream(self, error):
        if "RESOURCE_EXHAUSTED" in str(error):
            self.done["refused"] += 1
        else:
            self.wrong.append(f"stream: {error}")

    def sequence(self):
        """Triton's simple_sequence: adds one at the start."""
        name = self.chance.randrange(1, 1 << 62)
        values = [self.chance.randrange(1000) for _ in range(self.chance.randrange(1, 6))]
        for i, value in enumerate(values):
            try:
                answer = self.client.infer("simple_sequence", [tensor("INPUT", np.array([[value]], np.int32))],
                                           sequence_id=name, sequence_start=i == 0,
                                           sequence_end=i + 1 == len(values))
            except InferenceServerException as error:
                # Slow enough a machine lets a sequence expire; what follows is then refused.
                if "START flag" not in str(error):
                    self.fail(error)
                return
            self.check(answer.as_numpy("OUTPUT").ravel().tolist() == [value + (i == 0)], "sequence")

    def run(self, over):
        what = [self.echo, self.echo, self.add, self.cancel, self.leave, self.stream, self.sequence]
        while not over.is_set():
            try:
                self.chance.choice(what)()
            except Exception as error:
                self.wrong.append(repr(error))
        self.client.close()


def main(address, seed, threads):
    over = threading.Event()
    clients = [Client(address, seed * threads + i) for i in range(threads)]
    running = [threading.Thread(target=client.run, args=(over,)) for client in clients]
    for thread in running:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in running:
        thread.join()
    done = sum((client.done for client in clients), collections.Counter())
    wrong = [what for client in clients for what in client.wrong]
    print(json.dumps({"wrong": wrong[:5], **done}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
