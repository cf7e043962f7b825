"""troupe tune: finds settings, and writes them where it is asked to."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from node import PATIENCE
from streams import EXAMPLES


@pytest.fixture(name="model")
def make_model(tmp_path):
    folder = tmp_path / "sleep"
    folder.mkdir()
    (folder / "model.toml").write_text("# Sleeps.\n" + EXAMPLES["sleep"] + "\n[queue]  # of it\ncapacity = 99\n")
    return folder


# Work that keeps no processor busy, so that two instances do twice as much wherever there are two slots.
SLEEPS = ["--input", "DELAY=20", "--seconds", "300ms", "--in-flight", "8", "--json"]


def lines_of(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def nodes_of(model):
    """The nodes that serve just this model, by way of a link to its folder."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
            [config] = [word.removeprefix("--config=") for word in words if word.startswith("--config=")]
            if list((pathlib.Path(config).parent / "models").iterdir())[0].readlink() == model:
                found.append(process.name)
        except (OSError, ValueError, IndexError):
            continue  # another program, or one that has just ended
    return found


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one slot leaves nothing to choose")
def test_tune_finds_that_two_instances_are_better_and_writes_it_down(troupe, model):
    before = (model / "model.toml").read_text()
    first, *tried, proposal = lines_of(troupe("tune", str(model), *SLEEPS))
    assert first["as_it_is"]["instances"] == 1
    assert {(one["instances"], one["threads"]) for one in tried} >= {(1, 1), (2, 1), (1, 2)}
    assert proposal["better"] and proposal["requests_per_s"] > 1.5 and proposal["settings"]["instances"] >= 2
    assert (model / "model.toml").read_text() == before

    *_, proposal = lines_of(troupe("tune", str(model), *SLEEPS, "--apply"))
    after = (model / "model.toml").read_text()
    assert f"\ninstances = {proposal['settings']['instances']}\n" in after
    assert after.startswith("# Sleeps.\n") and "[queue]  # of it\ncapacity = 99\n" in after
    assert list(model.iterdir()) == [model / "model.toml"]
    assert nodes_of(model) == []


def test_tune_makes_up_a_request_of_its_own(troupe, tmp_path):
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "model.toml").write_text('skillset = "identity"\n')
    *rows, proposal = lines_of(troupe("tune", str(tmp_path / "identity"), "--seconds", "50ms", "--json"))
    assert len(rows) > 1 and all(row.get("as_it_is", row)["requests_per_s"] > 0 for row in rows)
    assert "better" in proposal


def test_tune_says_what_is_wrong(troupe, model, tmp_path):
    assert troupe("tune", str(tmp_path / "nowhere")).returncode == 64
    nothing = troupe("tune", str(tmp_path))
    assert nothing.returncode != 0 and "no model's folder" in nothing.stderr
    (model / "model.toml").write_text("skillset = 7\n")
    broken = troupe("tune", str(model))
    assert broken.returncode != 0 and "model.toml:1" in broken.stderr and "could not start" in broken.stderr
    assert nodes_of(model) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_tune_that_was_ended(program, model, number):
    tuning = subprocess.Popen([program.parent / "troupe", "tune", str(model), "--input", "DELAY=20", "--seconds", "60"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE
    while not nodes_of(model):
        assert tuning.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    tuning.send_signal(number)
    tuning.communicate(timeout=PATIENCE)
    assert tuning.returncode != 0
    while nodes_of(model):
        assert time.monotonic() < end
        time.sleep(0.05)
