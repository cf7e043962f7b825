"""Language models under fault: readers who leave, hosts that die, files that are broken."""

import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import threading
import time

import openai
import pytest
import tritonclient.grpc as triton

from node import PATIENCE, Node
from test_corrupted_models import flip_bits
from test_hosts import eventually, hosts_of

SEED = int(os.environ.get("TROUPE_SEED") or 7)
MODEL = "smollm2"
OFTEN = "[restart]\nintensity = 1000\n"


@pytest.fixture
def serve(program, smollm2):
    """Starts a node with SmolLM2."""
    nodes = []

    def start(extra="", **settings):
        node = Node(program, {"identity": 'skillset = "identity"\n'}, **settings)
        nodes.append(node)
        node.write_model(MODEL, (smollm2 / "model.toml").read_text() + extra, smollm2.glob("*.gguf"))
        return node.start().wait_ready()

    yield start
    for node in nodes:
        node.close()


def client_of(node, **options):
    return openai.OpenAI(**node.openai_options(**options))


def chat(text, **parameters):
    """What OpenAI's client is asked for."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "temperature": 0,
            "extra_body": {"ignore_eos": True}} | parameters


def body_of(text, **parameters):
    """The same as it goes over the wire."""
    asked = chat(text, **parameters)
    return asked | asked.pop("extra_body")


class RawStream:
    """A streaming chat over a plain socket, which can be left as people leave: without a word."""

    def __init__(self, node, body):
        host, _, port = node.http_address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        text = json.dumps(body | {"stream": True}).encode()
        self.socket.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(text) + text)

    def read(self):
        """Some of what came; nothing at the end."""
        return self.socket.recv(65536)

    def leave(self):
        self.socket.close()


def test_readers_who_leave_cost_nobody_anything(serve):
    node = serve()
    chance = random.Random(SEED)
    gaps, stop = [], threading.Event()

    def stay():
        """Reads one stream after another to its end, and notes the times between their pieces."""
        with client_of(node) as client:
            while not stop.is_set():
                last = None
                for _ in client.chat.completions.create(stream=True, **chat("Tell me of the sea.", max_tokens=60)):
                    now = time.monotonic()
                    if last:
                        gaps.append(now - last)
                    last = now

    def come_and_leave(number):
        mine = random.Random(SEED * 1000 + number)
        prompt = "and then the fox went home " * mine.choice([1, 1, 200]) + str(number)
        stream = RawStream(node, body_of(prompt, max_tokens=400))
        if mine.random() < 0.7:
            stream.read()
        time.sleep(mine.random() * 0.3)
        stream.leave()

    staying = threading.Thread(target=stay)
    staying.start()
    try:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(come_and_leave, range(200)))
    finally:
        stop.set()
        staying.join(PATIENCE)
    assert gaps, chance
    # Nobody who left is still computed for: the one who comes now has the model to himself.
    ended = node.log.events("request", model=MODEL)
    assert sum(event.get("code") == "CANCELLED" for event in ended) >= 100
    with client_of(node) as client:
        assert client.chat.completions.create(**chat("Hello", max_tokens=4)).usage.completion_tokens == 4
    assert node.stop() == 0


class EventStream:
    """A streaming chat, read as browsers read server-sent events; http.client sees to it that its chunks are whole."""

    def __init__(self, node, body, *, wait=True):
        self.connection = http.client.HTTPConnection(node.http_address, timeout=PATIENCE)
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body | {"stream": True}),
                                {"Content-Type": "application/json"})
        self.text, self.response = "", None
        if wait:
            self.begin()
            assert self.response.status == 200

    def begin(self):
        """Waits for the beginning of the answer."""
        self.response = self.response or self.connection.getresponse()

    def next(self):
        """The data of the next event; None at the end of the stream. An event is one line of data and an empty one."""
        while (line := self.response.readline()).startswith(b":"):
            assert self.response.readline() == b"\n"  # a comment
        if not line:
            self.connection.close()
            return None
        assert line.startswith(b"data: ") and self.response.readline() == b"\n", line
        return line[len(b"data: "):].decode().rstrip("\n")

    def read_text(self):
        """Reads on until there is text, or something that is no piece of the answer, which it returns."""
        while (data := self.next()) not in (None, "[DONE]"):
            event = json.loads(data)
            if "error" in event:
                return event
            piece = event["choices"][0]["delta"].get("content")
            self.text += piece or ""
            if piece:
                return None
        return data


def tokens_in(data):
    """Of an event of a stream that has been asked for log probabilities: each token has one."""
    return sum(len((choice.get("logprobs") or {}).get("content") or ()) for choice in json.loads(data)["choices"])


def test_no_token_is_computed_for_readers_who_have_left(serve, troupe):
    # With `exact` what the others read can be compared, to the last token.
    node = serve("[options]\nparallel = 6\ncontext = 1024\nexact = true\n")
    chance = random.Random(SEED)
    leavers, in_a_step = 24, 128

    def measured():
        lines = troupe("--target", node.address, "metrics").stdout.splitlines()
        start = "troupe_skillset_text_generation_"
        return {line.partition("{")[0].removeprefix(start): float(line.split()[-1])
                for line in lines if line.startswith(start)}

    def leave(number, pieces, pause):
        """Reads so many pieces, says that nothing more is wanted, and counts the tokens that came until the node heard it."""
        text = ("and then the fox went home " * 100 if pieces == 0 else "Tell me a story about ") + str(number)
        stream = EventStream(node, body_of(text, max_tokens=600, logprobs=True), wait=pieces > 0)
        read = sum(tokens_in(stream.next()) for _ in range(pieces))
        time.sleep(pause)
        stream.connection.sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(http.client.HTTPException, ConnectionError):
            stream.begin()
            while stream.response.status == 200 and (data := stream.next()) and "error" not in json.loads(data):
                read += tokens_in(data)
        stream.connection.close()
        return read

    with client_of(node) as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        stay = lambda i: client.chat.completions.create(**chat(f"What is the number {i} like?", max_tokens=40))
        right = [stay(i).choices[0].message.content for i in range(6)]
        before = measured()
        plans = [(number, chance.choice([0, 1, 2, 5, 12]), chance.random() * 0.3) for number in range(leavers)]
        leaving = [pool.submit(leave, *plan) for plan in plans]
        stayed = [pool.submit(stay, i) for i in range(6)]
        answers = [one.result(PATIENCE) for one in stayed]
        read = sum(one.result(PATIENCE) for one in leaving)
        last = stay(0)
        eventually(lambda: measured()["running_texts"] == 0)
        after = measured()
    assert [answer.choices[0].message.content for answer in answers] == right
    more = {name: after[name] - before[name] for name in after}
    wanted = sum(answer.usage.completion_tokens for answer in [*answers, last])
    # For each of them the step may end that ran when they left, and what it gave before may be on its way to them.
    assert 0 <= more["generated_tokens_total"] - wanted - read <= 2 * leavers, (SEED, more, wanted, read)
    reading = sum(pieces == 0 for _, pieces, _ in plans)
    assert more["discarded_tokens_total"] <= leavers - reading + in_a_step * reading, (SEED, more)
    assert node.stop() == 0


def test_the_death_of_a_host_is_told_to_those_who_had_begun_to_read(serve):
    # With `exact` an answer is the same to the last token, however often it begins and whoever else is there.
    node = serve(OFTEN + "[options]\nparallel = 10\ncontext = 1024\nexact = true\n", log_level="trace")
    questions = [f"Tell me story number {i}." for i in range(8)]
    long = "and then the fox went home " * 80
    # Two of these are in when the host dies, one of them in the middle of an answer of which nothing was sent; and two
    # are behind them in the queue.
    unheard = [chat("Tell me of the sea.", max_tokens=40)] + [chat(long + str(i), max_tokens=8) for i in range(3)]
    said = lambda answer: (answer.choices[0].message.content, answer.usage.completion_tokens)
    with client_of(node) as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        right = [said(client.chat.completions.create(**one)) for one in unheard]
        streams = list(pool.map(lambda text: EventStream(node, body_of(text, max_tokens=300)), questions))
        for stream in streams:
            assert stream.read_text() is None and stream.text
        before = len(node.log.events("executing", model=MODEL))
        silent = [pool.submit(client.chat.completions.create, **one) for one in unheard]
        node.log.wait_for("executing", before + 2, model=MODEL)
        [host] = hosts_of(node)
        os.kill(host, signal.SIGKILL)
        for stream in streams:
            while (end := stream.read_text()) is None:
                pass
            assert isinstance(end, dict), "the answer has an end, though nobody wrote it"
            assert "was killed by signal 9" in end["error"]["message"] and end["error"].keys() == {
                "message", "type", "param", "code"}
            assert stream.next() is None, "an error is the last event"
        assert [said(one.result(PATIENCE)) for one in silent] == right
        # What was read until then is how the answer goes.
        for text, stream in zip(questions, streams):
            told = client.chat.completions.create(**chat(text, max_tokens=8)).choices[0].message.content
            assert told.startswith(stream.text) or stream.text.startswith(told)
        assert host not in hosts_of(node)
    assert node.stop() == 0


def test_broken_files_harm_nobody(program, smollm2):
    text = (smollm2 / "model.toml").read_text().replace('skillset = "text_generation"', 'skillset = "text_generation"\non_failure = "unavailable"')
    [weights] = smollm2.glob("*.gguf")
    with Node(program, {"identity": 'skillset = "identity"\n'}) as node:
        node.start().wait_ready()
        with triton.InferenceServerClient(node.address) as client:
            for number in range(20):
                chance = random.Random(SEED * 100 + number)
                model = node.write_model("broken", text)
                file = model / weights.name
                shutil.copy(weights, file)
                if chance.random() < 0.3:
                    os.truncate(file, chance.choice([0, 3, 100, chance.randrange(file.stat().st_size)]))
                    how = f"cut off after {file.stat().st_size}"
                else:
                    how = flip_bits(chance, file, file.stat().st_size)
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                (model / "model.toml").write_text(re.sub(r'sha256 = "[0-9a-f]+"', f'sha256 = "{digest}"', text))
                try:
                    client.load_model("broken", client_timeout=PATIENCE)
                except triton.InferenceServerException as e:
                    assert e.status() != "StatusCode.INTERNAL" or "host" in e.message(), (SEED, number, how, e.message())
                assert client.is_server_live() and client.is_model_ready("identity"), (SEED, number, how)
                shutil.rmtree(model)
        assert node.stop() == 0


def test_a_prompt_beyond_the_context_is_refused_at_once(serve):
    node = serve()
    with client_of(node) as client:
        for text in ["word " * 20_000, "x" * (10 << 20)]:
            with pytest.raises(openai.BadRequestError) as refused:
                client.chat.completions.create(**chat(text))
            assert refused.value.code == "context_length_exceeded"
        assert client.chat.completions.create(**chat("Hello", max_tokens=2)).usage.completion_tokens == 2
    assert node.stop() == 0


@pytest.mark.parametrize("body, status", [
    (b"{", 400),
    (b'{"model": "smollm2", "messages": [{"role": "user", "content": "\xff"}]}', 400),
    (b'{"model": "smollm2", "messages": [{"role": "user", "content": "\\ud800"}]}', 400),
    (b'{"model": "smollm2", "messages": []}', 400),
    (b'{"model": "smollm2", "messages": [{"role": "robot", "content": "x"}]}', 400),
    (b'{"model": "smollm2", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}', 400),
    (b'{"model": "smollm2", "messages": [{"role": "user", "content": "x"}], "max_tokens": -1}', 400),
    (b'{"model": "smollm2", "messages": [{"role": "user", "content": "x"}], "stop": [' + b'"a",' * 5000 + b'"a"]}', 400),
    (b'{"model": "nobody", "messages": [{"role": "user", "content": "x"}]}', 404),
])
def test_bad_requests_have_an_error_of_the_apis_form(shared, body, status):
    connection = http.client.HTTPConnection(shared.http_address, timeout=PATIENCE)
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == status
    assert json.loads(answer.read())["error"]["message"]
    connection.close()


@pytest.fixture(scope="module")
def shared(program, smollm2):
    with Node(program, {}) as node:
        node.write_model(MODEL, (smollm2 / "model.toml").read_text(), smollm2.glob("*.gguf"))
        node.start().wait_ready()
        yield node
        with client_of(node) as client:
            assert client.chat.completions.create(**chat("Hello", max_tokens=2)).usage.completion_tokens == 2
        assert node.stop() == 0
