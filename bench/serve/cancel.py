"""How soon a slot goes on when the work on it is cancelled, and whether what is cancelled in the queue ever runs."""

import os
import statistics
import sys

from node import Goal, Node, call, copy_model

RUNNING, QUEUED = 200, 1000  # cancelled in a round
GOAL_MS = 10
# Nothing is refused here: the queue has room, and who waits behind work without end may wait long.
QUEUE = f'[queue]\ncapacity = {QUEUED + 100}\nmax_wait = "24h"\n'


def measure(given):
    """{model: [a result a round]}"""
    folder = given.folder / "cancel"
    waits = folder / "models" / "identity"
    waits.mkdir(parents=True)
    (waits / "model.toml").write_text(f'skillset = "identity"\ninstances = {os.cpu_count()}\n{QUEUE}')
    copy_model(given.model, folder / "models" / "minilm", instances=os.cpu_count(), more=QUEUE)
    results = {"identity": [], "minilm": []}
    with Node(given.build, folder) as node:
        for number in range(given.rounds):
            for model, texts in (("identity", []), ("minilm", [given.texts["mixed"]])):
                results[model].append(call(given.program("bench_cancel"), node.target, model, os.cpu_count(), RUNNING,
                                           QUEUED, *texts))
            print(f"cancel: round {number + 1} of {given.rounds} done", file=sys.stderr)
    return results


def show(results):
    goals = []
    print(f"\ncancelled; from the client's cancel until the slot has done a request without work, and until it has done a "
          f"quick one, and that alone; in ms, median of the rounds")
    columns = {f"{what}_{figure}": f"{what} {'longest' if figure == 'max' else figure}"
               for what, figures in (("slot", ("p50", "p99", "max")), ("next", ("p50", "p99", "max")),
                                     ("idle", ("p50", "p99"))) for figure in figures}
    print(f"{'':27}" + "".join(f"{title:>13}" for title in columns.values()) + f"{'queued':>9}{'of it ran':>11}")
    names = {"identity": "a wait (identity)", "minilm": "a computation (MiniLM)"}
    for model, rounds in results.items():
        ms = {f: statistics.median(r[f"{f}_us"] for r in rounds) / 1000 for f in columns}
        queued, ran = (sum(r[f] for r in rounds) for f in ("queued", "queued_ran"))
        print(f"{names[model]:27}" + "".join(f"{ms[f]:>13.2f}" for f in columns) + f"{queued:>9}{ran:>11}")
        goals += [Goal(f"{names[model]}: p99 < {GOAL_MS} ms until the slot runs the next request",
                       f"{ms['slot_p99']:.2f}", ms["slot_p99"] < GOAL_MS),
                  Goal(f"{names[model]}: nothing runs that was cancelled in the queue", str(ran), ran == 0)]
    return goals
