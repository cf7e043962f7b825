"""How soon the place of a reader who leaves is another one's: all places are taken, one more waits, and somebody hangs up."""

import datetime
import http.client
import json
import random
import socket
import sys
import threading
import time

from asking import OURS, PARALLEL, PATIENCE, Goal, percentile, user, words

LEAVING = 20  # a round
GOAL = 50     # ms


class Reader:
    """Reads an endless answer on a thread of its own, until it hangs up without a word."""

    def __init__(self, side, key, prompt_words):
        self.connection = http.client.HTTPConnection(side.address, timeout=PATIENCE)
        body = {"model": side.model, "messages": [user(words(key, prompt_words))], "max_tokens": 4000, "temperature": 0,
                "stream": True, "ignore_eos": True}
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        self.begun = threading.Event()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        try:
            response = self.connection.getresponse()
            for line in response:
                if line.startswith(b"data: "):
                    self.begun.set()
        except (OSError, http.client.HTTPException, AttributeError, ValueError):
            pass

    def hang_up(self):
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(PATIENCE)
        self.connection.close()


def measure(given):
    """{"place": ms from hanging up until the node lets the next one in, "first": ms until that one's first token}"""
    side, hung_up, first = given.sides[OURS], [], []
    for number in range(given.rounds):
        window(side, f"leaving {number}", hung_up, first)
        print(f"leaving: round {number + 1} of {given.rounds} done", file=sys.stderr)
    times = let_in(side.log)
    return {"place": [(next(at for at in times if at > when) - when) * 1000 for when in hung_up], "first": first}


def window(side, key, hung_up, first):
    chance = random.Random(key)
    readers = [Reader(side, f"{key} {i}", 8) for i in range(PARALLEL)]
    for reader in readers:
        reader.begun.wait(PATIENCE)
    try:
        for number in range(LEAVING):
            answers = []
            waiting = threading.Thread(target=lambda: answers.append(side.ask([user(f"{key} {number} Yes?")], max_tokens=1)))
            waiting.start()
            time.sleep(0.1 + 0.1 * chance.random())
            hung_up.append(time.time())
            began = time.monotonic()
            readers.pop(chance.randrange(len(readers))).hang_up()
            waiting.join(PATIENCE)
            first.append((answers[0].pieces[0] - began) * 1000)
            readers.append(Reader(side, f"{key} {number} more", 8 if number % 2 else 200))
            # One who has no place yet would leave none.
            readers[-1].begun.wait(PATIENCE)
    finally:
        for reader in readers:
            reader.hang_up()


def let_in(log):
    """When the node let somebody in, by its log, one after the other."""
    return [datetime.datetime.fromisoformat(line[:23]).timestamp()
            for line in log.read_text().splitlines() if " executing " in line]


def show(results):
    print(f"\nafter a reader has left, ms; {PARALLEL - 1} others write, and one waits for the place")
    print(f"{'':32}{'p50':>8}{'p99':>8}{'most':>8}")
    for name, what in (("place", "the place is the next one's"), ("first", "the next one's first token")):
        values = results[name]
        print(f"{what:32}{percentile(values, 0.5):>8.1f}{percentile(values, 0.99):>8.1f}{max(values):>8.1f}")
    late = percentile(results["place"], 0.99)
    return [Goal(f"leaving: p99 of the place's being another's ≤ {GOAL} ms", f"{late:.0f} ms", late <= GOAL)]
