"""What both sections of bench/faults/run need: nodes with hosts, clients beside them, what is left behind."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "serve"))

from node import Failed, Goal, Node, call, copy_model  # noqa: E402  pylint: disable=wrong-import-position,unused-import

HOSTED = 'isolation = "process"\non_failure = "unavailable"\n'
OFTEN = "[restart]\nintensity = 100000\n"
PATIENCE = 60


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a section is given."""
    build: pathlib.Path
    model: pathlib.Path
    smollm2: pathlib.Path
    folder: pathlib.Path
    python: str
    rounds: int
    seconds: float
    cases: list  # of the section kills; none: all

    def program(self, name):
        return self.build / "bin" / name


def write_identity(folder, *, hosted=True, instances=1):
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text(
        'skillset = "identity"\n' + (f"instances = {instances}\n{HOSTED}{OFTEN}" if hosted else ""))


def write_minilm(given, folder, instances):
    copy_model(given.model, folder, instances=instances, more=OFTEN)
    toml = folder / "model.toml"
    text = re.sub(r"(?m)^(isolation|on_failure) *=.*\n", "", toml.read_text())
    toml.write_text(HOSTED + text)


def write_models(given, folder, kind, instances):
    """The model that is hit, and another one that must not notice."""
    if kind == "text":
        write_minilm(given, folder / "models" / "hit", instances)
    else:
        write_identity(folder / "models" / "hit", instances=instances)
    write_identity(folder / "models" / "other", hosted=False)


class Client:
    """A process that asks, from its start to `stop()`."""

    def __init__(self, given, node, model, kind, in_flight, pause=0.0):
        self._process = subprocess.Popen(
            [given.python, str(HERE / "client.py"), node.target, model, kind, str(in_flight), str(pause)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self):
        """What came of each request: (sent, answered, outcome)."""
        out, _ = self._process.communicate(timeout=PATIENCE * 2)
        if self._process.returncode != 0:
            raise Failed("a client failed")
        return [tuple(outcome) for outcome in json.loads(out)]


@contextlib.contextmanager
def asking(given, node, kind):
    """Eight requests at a time for the model that is hit, one now and then for the other; their outcomes by model, once
    that is over."""
    outcomes = {}
    clients = {"hit": Client(given, node, "hit", kind, 8), "other": Client(given, node, "other", "numbers", 1, 0.002)}
    try:
        yield outcomes
    finally:
        for name, client in clients.items():
            outcomes[name] = client.stop()


def hosts_of(node):
    """The host processes of a node that have not ended."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == node.process.pid and stat[0] != "Z":
                found.append(int(process.name))
    return found


def unloaded(given, node, times):
    """So many times, with nobody having the model that is hit in memory: how to have the node load it."""
    troupe = lambda *words: call(given.program("troupe"), "--json", "--target", node.target, *words)
    for _ in range(times):
        troupe("unload", "hit")
        until(lambda: not hosts_of(node), "the end of a host")
        yield lambda: troupe("load", "hit")


def descriptors_of(pid):
    """How many there are of each kind, such as socket."""
    kinds = {}
    for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            kind = os.readlink(descriptor).split(":")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def threads_of(pid):
    """Without those of gRPC's executor, which has up to two for each CPU, as it needs them, and keeps them."""
    names = [(task / "comm").read_text().strip() for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    return sum(not name.endswith("-executo") for name in names)


def held_by(node):
    """What could leak."""
    kinds = descriptors_of(node.process.pid)
    return {"processes": len(hosts_of(node)), "descriptors": sum(kinds.values()), "sockets": kinds.get("socket", 0),
            "threads": threads_of(node.process.pid), "shared memory": len(os.listdir("/dev/shm"))}


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"{what} took longer than {PATIENCE} s")
        time.sleep(0.002)


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def lost(outcomes):
    return [what for _, _, what in outcomes if what not in ("right", "wrong")]


def wrong(outcomes):
    return sum(what == "wrong" for _, _, what in outcomes)


def milliseconds(outcomes):
    return [(answered - sent) * 1000 for sent, answered, _ in outcomes]


def p99_of_others(others, calm, kills):
    """Of their outcomes in the windows without kills and in those with them, which are pairs: over all of a kind, and the
    quartiles of the pairs' ratios, which tell how much to trust that."""
    p99 = lambda *spans: percentile(milliseconds([o for o in others if any(b <= o[1] < e for b, e in spans)]), 0.99)
    ratios = [p99(kill) / p99(before) for before, kill in zip(calm, kills)]
    return {"other_calm": p99(*calm), "other_kills": p99(*kills),
            "other_quartiles": [percentile(ratios, 0.25), percentile(ratios, 0.75)]}
