"""kill -9 of a language model's host while eight answers are being written: what becomes of them, and how long the next one
to ask waits."""

import contextlib
import http.client
import json
import os
import pathlib
import random
import signal
import statistics
import sys
import threading
import time

from asking import (OFTEN, PATIENCE, Client, Node, copy_model, hosts_of, lost, p99_of_others, unloaded, write_identity,
                    wrong)

ANSWERS = 8
TOKENS = 64
COLD_LOADS = 3
AFTERWARDS = 0.5  # seconds of a window after the next one has his answer
EXACT = "[options]\ncontext = 1024\nexact = true\n"  # or what was heard could not be compared, word by word


class Answer(threading.Thread):
    """A streamed answer on a thread of its own: its text, when that began, and how it ended: "whole", "told" that it will not
    come, or what was wrong."""

    def __init__(self, node, question, tokens=TOKENS):
        super().__init__()
        self.address = node.addresses["http"]
        self.body = json.dumps({"model": "hit", "messages": [{"role": "user", "content": question}], "max_tokens": tokens,
                                "temperature": 0, "stream": True, "ignore_eos": True})
        self.asked, self.first, self.text, self.end = time.monotonic(), None, "", "nothing came"
        self.begun = threading.Event()
        self.start()

    def run(self):
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            with contextlib.closing(connection):
                connection.request("POST", "/v1/chat/completions", self.body, {"Content-Type": "application/json"})
                self.end = self.read(connection.getresponse())
        except (OSError, ValueError, KeyError, http.client.HTTPException) as failure:
            self.end = f"{type(failure).__name__}: {failure}"
        self.begun.set()

    def read(self, response):
        if response.status != 200:
            return f"{response.status}: {response.read(500).decode(errors='replace')}"
        end = "the stream ended without a word"
        for line in response:
            if not line.startswith(b"data: "):
                continue
            if end in ("whole", "told"):
                return f"{end}, and then {line!r}"
            if line == b"data: [DONE]\n":
                end = "whole"
                continue
            event = json.loads(line[len(b"data: "):])
            if "error" in event:
                end = "told" if event["error"]["message"] and self.text else str(event)
            elif piece := event["choices"][0]["delta"].get("content"):
                self.text += piece
                self.first = self.first or time.monotonic()
                self.begun.set()
        return end

    def latency(self):
        return (self.first - self.asked) * 1000 if self.first else float("nan")

    def outcome(self, right, may_be_told):
        """As other cases count outcomes: "right", "wrong", or how it failed."""
        if self.end == "told" and may_be_told:
            return "right" if right.startswith(self.text) else "wrong"
        return self.end if self.end != "whole" else "right" if right == self.text else "wrong"


def write_models(given, folder):
    copy_model(given.smollm2, folder / "models" / "hit", more=OFTEN + EXACT)
    write_identity(folder / "models" / "other", hosted=False)


def measure(given):
    """The figures of kills.py, of a model that writes. *calm* is what the first word of a short answer takes that has the model
    to itself, *pause* the same from the kill on."""
    folder = given.folder / "chats"
    write_models(given, folder)
    with Node(given.build, folder, log_level="off") as node:
        cold = cold_load(given, node)
        figures = one_case(given, node)
    print("kills: SmolLM2 done", file=sys.stderr)
    return figures | {"cold": cold}


def ask(node, question, tokens=TOKENS):
    answer = Answer(node, question, tokens)
    answer.join()
    return answer


def cold_load(given, node):
    """Milliseconds from the start of the host that loads the model until the first word of the first answer."""
    times = []
    for load in unloaded(given, node, COLD_LOADS):
        load()
        first = ask(node, "Hello", 1).first
        [host] = hosts_of(node)
        times.append((first - started_at(host)) * 1000)
    return statistics.median(times)


def started_at(pid):
    """On the system's monotonic clock, to the end of a tick."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[19]) + 1) / os.sysconf("SC_CLK_TCK")


def one_case(given, node):
    chance = random.Random(1)
    questions = [f"Tell me story number {number}." for number in range(ANSWERS)]
    right = [ask(node, question).text for question in questions]
    short = ask(node, "Hello", 4).text
    outcomes, calm, pauses = [], [], []
    windows = {"calm": [], "kills": []}
    other = Client(given, node, "other", "numbers", 1, 0.002)
    try:
        for _ in range(given.rounds):
            alone = ask(node, "Hello", 4)
            answers = [Answer(node, question) for question in questions]
            for answer in answers:
                answer.begun.wait(PATIENCE)
            began = time.monotonic()
            time.sleep(AFTERWARDS + chance.random() / 2)
            [host] = hosts_of(node)
            killed = time.monotonic()
            os.kill(host, signal.SIGKILL)
            after = ask(node, "Hello", 4)
            time.sleep(AFTERWARDS)
            windows["calm"].append((began, killed))
            windows["kills"].append((killed, time.monotonic()))
            for answer in answers:
                answer.join()
            calm.append(alone.latency())
            pauses.append(after.latency() + (after.asked - killed) * 1000)
            outcomes += [alone.outcome(short, False), after.outcome(short, False)]
            outcomes += [answer.outcome(text, True) for answer, text in zip(answers, right)]
    finally:
        others = other.stop()
    return figures(outcomes, calm, pauses, others, windows)


def figures(outcomes, calm, pauses, others, windows):
    failed = [what for what in outcomes if what not in ("right", "wrong")] + lost(others)
    return {"asked": len(outcomes), "failed": len(failed), "wrong": outcomes.count("wrong") + wrong(others),
            "why": failed[:1], "kills": len(pauses), "pause": statistics.median(pauses), "longest": max(pauses),
            "calm": statistics.median(calm)} | p99_of_others(others, **windows)
