"""A stream of tritonclient's, whose responses can be waited for."""

import pathlib
import queue

import numpy as np

from messages import tensor
from node import PATIENCE

# The repository of what Triton's client examples expect.
EXAMPLES = {
    folder.name: (folder / "model.toml").read_text()
    for folder in (pathlib.Path(__file__).parent.parent / "models" / "triton_examples").iterdir()
}


class Stream:
    """The one stream that a client has, from start_stream to stop_stream."""

    def __init__(self, client):
        self.client = client
        self.answers = queue.Queue()
        client.start_stream(lambda result, error: self.answers.put((result, error)))

    def send(self, model, inputs, **options):
        self.client.async_stream_infer(model, inputs, **options)

    def next(self):
        """The next result; an error is raised."""
        result, error = self.answers.get(timeout=PATIENCE)
        if error:
            raise error
        return result

    def close(self):
        """Says that there is no more to come, and waits for what is under way: the answers that were left."""
        self.client.stop_stream()
        rest = []
        while not self.answers.empty():
            rest.append(self.next())
        return rest

    def cancel(self):
        self.client.stop_stream(cancel_requests=True)


def repetition(values, delays=None, wait=0):
    """The inputs of repeat_int32."""
    return [
        tensor("IN", np.array(values, np.int32)),
        tensor("DELAY", np.array(delays or [0] * len(values), np.uint32)),
        tensor("WAIT", np.array([wait], np.uint32)),
    ]


def is_final(result):
    return result.get_response().parameters["triton_final_response"].bool_param
