"""A model is loaded, asked and unloaded two hundred times, in the node and in hosts: the node's memory, descriptors and
threads stay as they are."""

import os
import pathlib
import time

import numpy as np
import pytest
import tritonclient.grpc as triton

from messages import numbers, texts
from node import PATIENCE
from test_hosts import hosts_of

NOT_VITAL = 'on_failure = "unavailable"\n'
CYCLES, SETTLING = 200, 50  # until then caches and pools grow to what they need

# Of what a cycle may add, on the average. What a model is in the node takes more bytes than this; a descriptor or thread
# that is lost in one cycle of ten is one too many.
MOST = {"bytes": 1024, "descriptors": 0.1, "threads": 0.1}


def held_by(node):
    """What the node has, once nothing of the last cycle is on its way any more."""
    process = pathlib.Path(f"/proc/{node.process.pid}")
    rollup = (process / "smaps_rollup").read_text()
    own = sum(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith(("Private", "Swap:")))
    return own, len(os.listdir(process / "fd")), len(os.listdir(process / "task"))


def slope(values):
    """How much a value grows from one to the next, by the line that fits them best."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def measure(node, model, inputs, cycles, settling):
    held = []
    with triton.InferenceServerClient(node.address) as client:
        for _ in range(cycles):
            client.load_model(model)
            client.infer(model, inputs)
            client.unload_model(model)
            end = time.monotonic() + PATIENCE
            while hosts_of(node):
                assert time.monotonic() < end
                time.sleep(0.001)
            held.append(held_by(node))
    slopes = dict(zip(MOST, (slope(values) for values in list(zip(*held[settling:])))))
    print({what: round(value, 3) for what, value in slopes.items()}, held[0], held[settling], held[-1])
    return slopes


def too_steep(slopes, most, sanitized):
    return [what for what, value in slopes.items() if value >= most[what] and not (sanitized and what == "bytes")]


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_two_hundred_cycles_add_nothing(make_node, isolation, sanitized):
    models = {"identity": f'skillset = "identity"\nisolation = "{isolation}"\n{NOT_VITAL}'}
    node = make_node(models, log_level="warning").start().wait_ready()
    slopes = measure(node, "identity", numbers(1), CYCLES, SETTLING)
    assert not too_steep(slopes, MOST, sanitized), slopes
    assert node.stop() == 0


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_nor_do_some_of_a_model_with_an_engine(make_node, minilm, isolation, sanitized):
    node = make_node({"healthy": 'skillset = "identity"\n'}, log_level="warning").start().wait_ready()
    files = [file for file in minilm.iterdir() if file.name != "model.toml"]
    text = (minilm / "model.toml").read_text().replace("instances = 2", f'isolation = "{isolation}"\n{NOT_VITAL}')
    node.write_model("minilm", text, files)
    slopes = measure(node, "minilm", texts("The actors take a bow."), 20, 5)
    # Its weights are 90 MB; what its engine has given back, the allocator may keep for a while.
    assert not too_steep(slopes, {"bytes": 20 << 20, "descriptors": 0.5, "threads": 0.5}, sanitized), slopes
    assert node.stop() == 0
