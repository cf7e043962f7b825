"""What every section of bench/llm/run needs: both sides, and streams of answers with the time of each piece."""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "serve"))

from node import WORDS, Failed, Goal, Node, copy_model  # noqa: E402  pylint: disable=wrong-import-position,unused-import

CACHE_TOKENS = 8192
PARALLEL = 8
PATIENCE = 120
OURS, THEIRS = "troupe-node", "llama-server"


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a section is given: both sides by their names, how many rounds."""
    sides: dict
    rounds: int


@dataclasses.dataclass
class Answer:
    """One answer: when it was asked for, when each piece of text came, and the counts of tokens."""
    asked: float
    pieces: list
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0

    @property
    def first(self):
        """Seconds to the first piece."""
        return self.pieces[0] - self.asked

    def gaps(self, begin, end):
        """Seconds between two pieces, for each two that have some of this time between them."""
        return [b - a for a, b in zip(self.pieces, self.pieces[1:]) if b > begin and a < end]


class Side:
    """A server with an OpenAI API at `address`, and the processes that its work is done in; the node has a log."""

    def __init__(self, name, model, address, process, log=None):
        self.name, self.model, self.address, self.process, self.log = name, model, address, process, log

    def cpu(self):
        """Seconds of all its processes, user and system, so far."""
        ticks = sum(sum(int(field) for field in stat[11:13]) for stat in stats_of(self.process.pid))
        return ticks / os.sysconf("SC_CLK_TCK")

    def ask(self, messages, *, max_tokens, enough=None):
        """Streams an answer of so many tokens to its end; or leaves with the piece that comes after the event `enough`."""
        body = {"model": self.model, "messages": messages, "max_tokens": max_tokens, "temperature": 0, "stream": True,
                "ignore_eos": True, "stream_options": {"include_usage": True}}
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        with contextlib.closing(connection):
            answer = Answer(time.monotonic(), [])
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise Failed(f"{self.name} answered {response.status}: {response.read(500).decode(errors='replace')}")
            left = read_stream(self.name, response, answer, enough)
        if not left and answer.tokens != max_tokens:
            raise Failed(f"{self.name} answered with {answer.tokens} tokens instead of {max_tokens}")
        return answer


def stats_of(pid):
    """What /proc/PID/stat says, from the state on, of a process and of those that it has started."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            if pid in (int(process.name), int(stat[1])):
                found.append(stat)
    return found


def read_stream(name, response, answer, enough):
    """Reads server-sent events to the end of the stream; true when it left before that."""
    done = False
    for line in response:
        now = time.monotonic()
        if not line.startswith(b"data: "):
            continue
        done = line.strip() == b"data: [DONE]"
        if done:
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise Failed(f"{name} broke off: {event['error']}")
        if any(choice["delta"].get("content") for choice in event["choices"]):
            answer.pieces.append(now)
            if enough and enough.is_set():
                return True
        if usage := event.get("usage"):
            answer.tokens, answer.prompt_tokens = usage["completion_tokens"], usage["prompt_tokens"]
            answer.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    if not done:
        raise Failed(f"{name} ended a stream too early")
    return False


def together(*workers):
    """Runs functions at the same time; their results, in their order."""
    results = [None] * len(workers)

    def run(index, work):
        try:
            results[index] = work()
        except Exception as failure:  # pylint: disable=broad-except
            results[index] = failure

    threads = [threading.Thread(target=run, args=each) for each in enumerate(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def in_turns(given, what, measure):
    """Measures both sides in every round, each first in every other one: {side: [a result a round]}. `measure` gets the
    side, and what tells the round's texts from those of all others."""
    results = {name: [] for name in given.sides}
    for number in range(given.rounds):
        for name in sorted(given.sides, reverse=number % 2 == 1):
            results[name].append(measure(given.sides[name], f"{what} {number}"))
        print(f"{what}: round {number + 1} of {given.rounds} done", file=sys.stderr)
    return results


def user(text):
    return {"role": "user", "content": text}


def words(key, count):
    """As many words, of about a token each; the same for the same key."""
    return " ".join(random.Random(key).choices(WORDS, k=count))


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))]


def ratio(results, value):
    """Ours / theirs, the median of the rounds' own."""
    return statistics.median(value(a) / value(b) for a, b in zip(results[OURS], results[THEIRS]))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def our_node(build, model, folder, threads):
    copy_model(model, folder / "models" / "smollm2")
    toml = folder / "models" / "smollm2" / "model.toml"
    text = re.sub(r"(?m)^threads *=.*\n", "", toml.read_text())
    toml.write_text(f"threads = {threads}\n{text}\n[options]\ncache_tokens = {CACHE_TOKENS}\nparallel = {PARALLEL}\n")
    log = folder / "log"
    with Node(build, folder, log_level="trace", log=log) as node:
        yield Side(OURS, "smollm2", node.addresses["http"], node.process, log)


@contextlib.contextmanager
def llama_server(program, model, threads):
    [weights] = model.glob("*.gguf")
    address = f"127.0.0.1:{free_port()}"
    command = [program, "--model", weights, "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--threads",
               threads, "--ctx-size", CACHE_TOKENS, "--parallel", PARALLEL, "--kv-unified", "--no-webui"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            await_health(address, process)
            yield Side(THEIRS, "smollm2", address, process)
        finally:
            process.send_signal(signal.SIGKILL)


def await_health(address, process):
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection(address, timeout=PATIENCE)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        if process.poll() is not None or time.monotonic() > end:
            raise Failed("llama-server did not become ready")
        time.sleep(0.05)
