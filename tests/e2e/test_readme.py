"""Every command in README.md does what it says, one after another as a newcomer types them."""

import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from node import PATIENCE

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()

# From the demo's first line to its last, set-up and build included.
LONGEST = 20 * PATIENCE


def commands():
    """The lines of README's sh blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def environment(program):
    """Has make take the programs of the build under test, and the shell find them."""
    build = program.parent.parent
    if build.parent != ROOT / "build":
        pytest.skip("make builds in build/ only")
    with socket.socket() as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            port.bind(("127.0.0.1", 8001))
        except OSError:
            pytest.skip("another program uses port 8001, which README's node listens on")
    return os.environ | {"PRESET": build.name, "PATH": f"{program.parent}:{os.environ['PATH']}"}


def run(command, environment):
    done = subprocess.run(command, shell=True, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def running(environment):
    """`make run`, ready: the lines that it printed."""
    process = subprocess.Popen(["make", "run"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    try:
        lines = []
        while not any("Try in another terminal" in line for line in lines[-4:-3]):
            line = process.stdout.readline()
            assert line, "make run ended:\n" + "\n".join(lines)
            lines.append(line.rstrip())
        yield lines
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_no_command_is_left_out():
    assert {c for c in commands() if not c.startswith("troupe ")} == {"make run", "make demo", "make test"}


def test_make_run_serves_what_another_terminal_asks_for(running, environment):
    assert "troupe-node is ready on 127.0.0.1:8001" in "\n".join(running)
    for command in running[-3:] + [c for c in commands() if c.startswith("troupe ")]:
        assert run(command, environment).strip(), f"{command} printed nothing"


def test_make_demo_compares_three_sentences_asks_a_question_and_stops(environment):
    shown = run("make demo", environment)
    assert re.search(r"1 +The actors take a bow\. +1\.000 ", shown)
    assert "Paris" in shown
    assert "The node stopped in order." in shown


def test_make_test_runs_every_test(environment):
    # It runs this very test, so what is left to see is that it would.
    assert re.search(r"ctest --preset dev\b", run("make --dry-run test", environment))


def test_a_second_setup_needs_no_network(environment):
    assert "downloading" not in run("tools/setup --offline", environment)


def test_help_lists_the_rest(environment):
    listed = run("make help", environment)
    for goal in re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE):
        assert f"make {goal} " in listed


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_is_two_screens_at_most():
    assert len(README.splitlines()) <= 2 * 40
