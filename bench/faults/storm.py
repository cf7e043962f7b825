"""A hundred kills at random moments, of hosts of two models; then everything that was taken is back."""

import os
import random
import signal
import sys
import time

from asking import (Client, Failed, Goal, Node, held_by, hosts_of, lost, until, write_identity, write_minilm, wrong)

KILLS = 100
# Between two kills, in seconds; together two minutes. Never so soon that the same request is hit twice as a matter of
# course: the node runs it once more, and no third time.
SOONEST, LATEST = 0.6, 1.8
INSTANCES = 2


def measure(given):
    folder = given.folder / "storm"
    write_identity(folder / "models" / "identity", instances=INSTANCES)
    write_minilm(given, folder / "models" / "minilm", INSTANCES)
    write_identity(folder / "models" / "other", hosted=False)
    chance = random.Random(1)
    with Node(given.build, folder, log_level="off") as node:
        all_there = lambda: len(hosts_of(node)) == 2 * INSTANCES
        until(all_there, "the hosts' start")
        clients = start_clients(given, node)  # once before, so that what connections and threads need is there
        time.sleep(5)
        for client in clients:
            client.stop()
        time.sleep(1)
        before = held_by(node)
        clients = start_clients(given, node)
        time.sleep(2)
        for number in range(KILLS):
            time.sleep(chance.uniform(SOONEST, LATEST))
            if hosts := hosts_of(node):
                os.kill(chance.choice(hosts), signal.SIGKILL)
            if number % 25 == 24:
                print(f"storm: {number + 1} of {KILLS} kills", file=sys.stderr)
        outcomes = [outcome for client in clients for outcome in client.stop()]
        if node.process.poll() is not None:
            raise Failed("the node has ended")
        until(all_there, "the hosts' start")
        settle(node, before)
        after = held_by(node)
    return {"asked": len(outcomes), "lost": lost(outcomes), "wrong": wrong(outcomes), "before": before, "after": after}


def start_clients(given, node):
    return [Client(given, node, "identity", "numbers", 4), Client(given, node, "minilm", "text", 4),
            Client(given, node, "other", "numbers", 1, 0.002)]


def settle(node, before):
    """Waits, for some seconds at most, until what it holds is what it held."""
    end = time.monotonic() + 10
    while time.monotonic() < end and any(held_by(node)[what] > before[what] for what in before):
        time.sleep(0.1)


def show(result):
    print(f"\n{KILLS} kills at random over two minutes, of {2 * INSTANCES} hosts of two models, 8 requests under way")
    print(f"asked {result['asked']}, lost {len(result['lost'])}, wrong {result['wrong']}")
    for why in sorted(set(result["lost"]))[:3]:
        print(f"    {why}")
    for what, count in result["before"].items():
        print(f"{what:>15}: {count} before, {result['after'][what]} after")
    leaked = {what: result["after"][what] - count for what, count in result["before"].items()}
    return [Goal("no request is lost or answered wrongly", str(len(result["lost"]) + result["wrong"]),
                 not result["lost"] and not result["wrong"])] + [
            Goal(f"no leaked {what}", str(more), more <= 0) for what, more in leaked.items()]
