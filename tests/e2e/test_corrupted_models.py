"""Files that are broken: loading them costs nobody anything, and ends with a message that says what is wrong, or with a
model that answers, because not every bit of a file matters."""

import hashlib
import math
import os
import random
import re
import shutil
import threading
import time

import tritonclient.grpc as triton

from messages import numbers, texts
from node import PATIENCE
from onnx_encoder import encoder_of_ids

HEALTHY = 'skillset = "identity"\n'
FILES = {"weights": "model.safetensors", "config": "config.json", "sentence_config": "sentence_bert_config.json",
         "tokenizer": "tokenizer.json"}
ONNX = """skillset = "text_embedding"
on_failure = "unavailable"
[files]
tokenizer = { path = "tokenizer.json", sha256 = "00" }
model = { path = "model.onnx", sha256 = "00" }
[options]
max_tokens = 128
"""
EACH = {"weights": 10, "config": 6, "tokenizer": 8, "model.toml": 8, "onnx": 8}  # forty in all
SEED = int(os.environ.get("TROUPE_SEED") or 6)


HEADER = 8192  # bytes at a file's beginning, where formats have their lengths and names


def cut_off(chance, file, size):
    left = chance.choice([0, 1, 7, 8, 9, chance.randrange(size), size - 1])
    os.truncate(file, left)
    return f"cut off after {left} of {size} bytes"


def change(file, places, how):
    with open(file, "r+b") as content:
        for at in places:
            content.seek(at)
            byte = content.read(1)[0]
            content.seek(at)
            content.write(bytes([how(byte)]))


def flip_bits(chance, file, size):
    places = [chance.randrange(min(size, HEADER)) if chance.random() < 0.5 else chance.randrange(size)
              for _ in range(chance.choice([1, 1, 4, 64]))]
    change(file, places, lambda byte: byte ^ 1 << chance.randrange(8))
    return f"bits flipped at {places}"


def change_digits(chance, file, _):
    """Which a parser doesn't notice: a size, an offset, an id is another one."""
    with open(file, "rb") as content:
        digits = [at for at, byte in enumerate(content.read(HEADER)) if chr(byte).isdigit()]
    places = chance.sample(digits, chance.choice([1, 1, 3]))
    change(file, places, lambda _: ord(chance.choice("0123456789")))
    return f"digits changed at {places}"


def corrupt(chance, file):
    """Breaks a file in one way or another; how."""
    ways = [cut_off, flip_bits] if file.suffix == ".onnx" else [cut_off, flip_bits, change_digits, change_digits]
    return chance.choice(ways)(chance, file, file.stat().st_size)


def with_hashes_of(model):
    """Has model.toml say what its files contain, so that what is broken reaches the skillset."""
    toml = model / "model.toml"
    text = toml.read_text()
    for name in re.findall(r'path = "(.*?)"', text):
        digest = hashlib.sha256((model / name).read_bytes()).hexdigest()
        text = re.sub(rf'(path = "{re.escape(name)}", sha256 = )"[0-9a-f]+"', rf'\1"{digest}"', text)
    toml.write_text(text)


def write_onnx(node, minilm, name, then=lambda file: "whole"):
    """A model with an encoder in an ONNX file, and what `then` does to that; what that was."""
    model = node.write_model(name, ONNX)
    (model / "tokenizer.json").symlink_to(minilm / "tokenizer.json")
    (model / "model.onnx").write_bytes(encoder_of_ids())
    done = then(model / "model.onnx")
    with_hashes_of(model)
    return f"onnx: {done}"


def write_broken(node, minilm, chance, name, what):
    """A copy of MiniLM, or another encoder, with something broken in it; what that is."""
    if what == "onnx":
        return write_onnx(node, minilm, name, lambda file: corrupt(chance, file))
    text = (minilm / "model.toml").read_text().replace("instances = 2", 'on_failure = "unavailable"')
    model = node.write_model(name, text)
    for file in FILES.values():
        if file == FILES.get(what):
            shutil.copy(minilm / file, model / file)
        else:
            (model / file).symlink_to(minilm / file)
    done = corrupt(chance, model / FILES.get(what, what))
    if what in FILES:
        with_hashes_of(model)
    return f"{what}: {done}"


class Asking:
    """Keeps asking a healthy model, and counts the answers; any other outcome is an error of the `with`."""

    def __init__(self, node):
        self._node = node
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answers = 0
        self.failure = None

    def _ask(self):
        try:
            with triton.InferenceServerClient(self._node.address) as client:
                while not self._stop.wait(0.01):
                    answer = client.infer("healthy", numbers(self.answers), client_timeout=PATIENCE)
                    assert answer.as_numpy("output").tolist() == [self.answers]
                    self.answers += 1
        except Exception as e:  # pylint: disable=broad-except
            self.failure = e

    def answers_once_more(self):
        before, end = self.answers, time.monotonic() + PATIENCE
        while self.answers == before:
            assert not self.failure and time.monotonic() < end
            time.sleep(0.001)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(PATIENCE)
        if self.failure:
            raise self.failure


def outcome_of(client, name):
    """What comes of loading a model and asking it."""
    try:
        client.load_model(name)
        answer = client.infer(name, texts("The actors take a bow."), client_timeout=PATIENCE)
    except triton.InferenceServerException as e:
        assert e.message().strip(), e
        return f"{e.status()}: {e.message()}"
    vector = answer.as_numpy("embedding").reshape(-1).tolist()
    assert len(vector) == (1 if name.startswith("onnx") else 384)
    return "answers" if all(map(math.isfinite, vector)) else "answers with what is no number"


def test_forty_broken_models_harm_nobody(make_node, minilm):
    node = make_node({"healthy": HEALTHY}, log_level="info").start().wait_ready()
    chance = random.Random(SEED)
    outcomes = []
    with triton.InferenceServerClient(node.address) as client, Asking(node) as healthy:
        write_onnx(node, minilm, "onnx-whole")
        assert outcome_of(client, "onnx-whole") == "answers"
        for what, count in EACH.items():
            for number in range(count):
                name = f"{what.removesuffix('.toml')}-{number}"
                broken = write_broken(node, minilm, chance, name, what)
                outcome = outcome_of(client, name)
                print(f"{name}: {broken}: {outcome}")
                assert node.process.poll() is None, broken
                healthy.answers_once_more()
                # OpenVINO's reader of ONNX may die of a file, in a host and with a message that says so.
                assert what == "onnx" or ("crash" not in outcome and "signal" not in outcome), f"{broken}: {outcome}"
                outcomes.append(outcome)
                if outcome.startswith("answers"):
                    client.unload_model(name)
                shutil.rmtree(node.folder / "models" / name)
    assert len(outcomes) == 40
    assert sum(outcome.startswith("answers") for outcome in outcomes) < 30, "too little is broken to show anything"
    assert node.stop() == 0
