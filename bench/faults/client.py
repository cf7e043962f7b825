"""Asks a model again and again, with a number of requests under way, until standard input ends; then writes what came of
each: [when it was sent, when it was answered, what came]: times in seconds of the system's monotonic clock; "right",
"wrong" or the error. For the Python that tools/setup --python makes."""

import json
import sys
import threading
import time

import numpy as np
import tritonclient.grpc as triton

TEXT = "The actors take a bow, and the audience rises to its feet."
PATIENCE = 60


def input_of(kind, number):
    if kind == "text":
        item = triton.InferInput("text", [1], "BYTES")
        item.set_data_from_numpy(np.array([TEXT.encode()], np.object_))
    else:
        item = triton.InferInput("input", [16], "FP32")
        item.set_data_from_numpy(np.arange(number, number + 16, dtype=np.float32))
    return [item]


def check_of(kind, client, model):
    """Whether an answer is right: what was sent, or the vector that the model gave before anything happened to it; in
    other company a text is computed a little differently."""
    if kind != "text":
        return lambda answer, number: answer.as_numpy("output").tolist() == list(range(number, number + 16))
    right = client.infer(model, input_of(kind, 0)).as_numpy("embedding")
    return lambda answer, _: bool(np.abs(answer.as_numpy("embedding") - right).max() < 1e-3)


def ask(address, model, kind, pause, stop, outcomes):
    with triton.InferenceServerClient(address) as client:
        right = check_of(kind, client, model)
        number = 0
        while not stop.is_set():
            sent = time.monotonic()
            try:
                answer = client.infer(model, input_of(kind, number), client_timeout=PATIENCE)
                what = "right" if right(answer, number) else "wrong"
            except triton.InferenceServerException as e:
                what = f"{e.status()}: {e.message()}"
            outcomes.append([sent, time.monotonic(), what])
            number = (number + 1) % 1000
            if pause:
                time.sleep(pause)


def main(address, model, kind, in_flight, pause):
    stop = threading.Event()
    outcomes = [[] for _ in range(int(in_flight))]
    threads = [threading.Thread(target=ask, args=(address, model, kind, float(pause), stop, own)) for own in outcomes]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    json.dump(sorted(sum(outcomes, []), key=lambda outcome: outcome[1]), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
