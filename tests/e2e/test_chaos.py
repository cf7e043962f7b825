"""Fifty clients that cancel, give up, run out of time and get killed at random, while each answer is checked: none is
wrong, lost or double, and afterwards everything that was taken is back."""

import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest
import tritonclient.grpc as triton

from messages import numbers
from node import PATIENCE
from streams import EXAMPLES

SECONDS = 60
PROCESSES, THREADS = 10, 5  # together fifty clients
MODELS = {
    "identity": 'skillset = "identity"\ninstances = 2\n[queue]\ncapacity = 64\nmax_wait = "2s"\n',
    **{name: EXAMPLES[name] for name in ("simple", "simple_string", "repeat_int32", "sleep", "simple_sequence")},
}
CLIENT = pathlib.Path(__file__).parent / "chaos_client.py"


def memory_of(node):
    """Proportional set size, in bytes."""
    text = pathlib.Path(f"/proc/{node.process.pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:"))


def counts(troupe, node):
    """All counts of the node: {family: [(labels, value)]}."""
    families = json.loads(troupe("--target", node.address, "--json", "metrics").stdout)["families"]
    found = collections.defaultdict(list)
    for family in families:
        for metric in family["metric"]:
            labels = {label["name"]: label["value"] for label in metric.get("label", [])}
            value = next(metric[kind] for kind in ("counter", "gauge", "summary", "histogram") if kind in metric)
            found[family["name"]].append((labels, float(value.get("value", value.get("sampleCount", 0)))))
    return found


def total(found, family, **labels):
    return sum(value for has, value in found[family] if labels.items() <= has.items())


def run_clients(node, seconds):
    """Lets the clients loose, kills five of them now and then, and starts others in their place; what they tell."""
    chance = random.Random(os.environ.get("TROUPE_SEED") or 1)
    start = lambda: subprocess.Popen(
        [sys.executable, str(CLIENT), node.address, str(chance.randrange(1 << 30)), str(THREADS)],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    clients = [start() for _ in range(PROCESSES)]
    end = time.monotonic() + seconds
    killed = 0
    while time.monotonic() < end:
        time.sleep(2)
        victim = chance.randrange(PROCESSES)
        clients[victim].kill()
        clients[victim].wait()
        clients[victim] = start()
        killed += 1
    reports = []
    for client in clients:
        client.stdin.close()
    for client in clients:
        reports.append(json.loads(client.stdout.read().splitlines()[-1]))
        assert client.wait(PATIENCE) == 0
    return reports, killed


@pytest.fixture(name="node")
def make_chaos_node(make_node):
    return make_node(MODELS, log_level="warning").start().wait_ready()


def test_fifty_clients_that_behave_badly_leave_nothing_behind(node, troupe, sanitized):
    run_clients(node, 5)  # until then memory grows to what it takes
    before = memory_of(node)
    reports, killed = run_clients(node, SECONDS)
    done = collections.Counter()
    for report in reports:
        assert report.pop("wrong") == []
        done.update(report)
    assert killed > 0 and all(done[what] > 0 for what in ("answered", "cancelled", "late", "left"))

    end = time.monotonic() + PATIENCE
    while True:
        now = counts(troupe, node)
        busy = {family: total(now, family) for family in
                ("troupe_pool_busy_threads", "troupe_pool_queued_jobs", "troupe_queue_requests",
                 "troupe_share_running_jobs")}
        if not any(busy.values()):
            break
        assert time.monotonic() < end, f"still taken: {busy}"
        time.sleep(0.1)
    for model in MODELS:
        # Of each request that was let in, one end was counted.
        assert total(now, "troupe_queue_admitted_total", model=model) == sum(
            total(now, family, model=model) for family in
            ("troupe_request_seconds", "troupe_queue_expired_total", "troupe_queue_withdrawn_total"))
    with triton.InferenceServerClient(node.address) as client:
        assert client.infer("identity", numbers(7)).as_numpy("output").tolist() == [7]
    assert sanitized or memory_of(node) - before < 16 << 20
    assert node.process.poll() is None
    node.signal(signal.SIGTERM)
    assert node.wait() == 0
