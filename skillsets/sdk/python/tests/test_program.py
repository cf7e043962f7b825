"""python -m troupe_skillset: what it says when it can't start, and that nothing keeps it from its end."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from conftest import PATIENCE, NodeSide, number

from troupe_skillset._server import Exit

DOUBLE = '''
from troupe_skillset import *

class Double(Skillset):
    name = "double"
    signature = Signature([TensorSpec("in", "FP32", [-1])], [TensorSpec("out", "FP32", [-1])])

    def answer(self, request, token):
        return Response([Tensor.of("out", "FP32", [2 * value for value in request.input("in").values()])])
'''


class Program:
    """A process with descriptor 3, and the node's side of it."""

    def __init__(self, folder: pathlib.Path, *arguments: str) -> None:
        here, there = socket.socketpair()
        self.node = NodeSide(here)
        # Where a module is looked for, besides what is installed, is the folder that the program starts in.
        self.process = subprocess.Popen([sys.executable, "-m", "troupe_skillset", *arguments], cwd=folder,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=(3,),
                                        preexec_fn=lambda: os.dup2(there.fileno(), 3) and None)
        there.close()

    def wait(self) -> tuple[int, str]:
        """Its exit code, and what it wrote to standard error."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        assert output == "", "all that is printed goes to standard error"
        return self.process.returncode, errors

    def close(self) -> tuple[int, str]:
        self.node.connection.close()
        return self.wait()


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Callable[..., Program]]:
    """Starts the class of a module that the test writes."""
    started = []

    def make(text: str, name: str = "skills:Double") -> Program:
        (tmp_path / "skills.py").write_text(text)
        started.append(Program(tmp_path, name))
        return started[-1]

    yield make
    for program in started:
        program.process.kill()
        program.process.wait()


def test_serves_the_class_of_a_module_beside_it(start: Callable[..., Program]) -> None:
    program = start(DOUBLE)
    assert program.node.next().hello.name == "double"
    assert program.node.load().HasField("loaded")
    program.node.run(number(3))
    assert program.node.answers()[0][0].HasField("response")
    assert program.close() == (Exit.OK, "")


def test_what_is_printed_is_there_at_once_on_standard_error(start: Callable[..., Program]) -> None:
    program = start(DOUBLE + '        # never reached\n\nprint("imported \\udc80")\n')
    assert program.process.stderr is not None
    assert program.process.stderr.readline() == "imported \\udc80\n"
    assert program.node.next().HasField("hello")
    assert program.close() == (Exit.OK, "")


@pytest.mark.parametrize("text, name, code, why", [
    (DOUBLE, "nowhere:Double", Exit.MISSING, "NOT_FOUND: there is no module 'nowhere'"),
    (DOUBLE, "skills.more:Double", Exit.MISSING, "NOT_FOUND: there is no module 'skills.more'"),
    (DOUBLE, "skills:Treble", Exit.MISSING, "has no class 'Treble' that is a Skillset"),
    (DOUBLE, "skills:Signature", Exit.MISSING, "has no class 'Signature' that is a Skillset"),
    ("import nonsense_that_is_not_there", "skills:Double", Exit.INTERNAL, "cannot import 'skills': No module named"),
    ("def", "skills:Double", Exit.INTERNAL, "cannot import 'skills': SyntaxError"),
    ("raise SystemExit(0)", "skills:Double", Exit.INTERNAL, "cannot import 'skills': SystemExit"),
    (DOUBLE + "    def __init__(self):\n        raise KeyboardInterrupt", "skills:Double", Exit.INTERNAL,
     "cannot make a 'Double': KeyboardInterrupt"),
])
def test_says_why_it_does_not_start(start: Callable[..., Program], text: str, name: str, code: Exit, why: str) -> None:
    how, said = start(text, name).wait()
    assert how == code
    assert why in said.splitlines()[-1]


@pytest.mark.parametrize("text", [
    "while True:\n    pass\n",
    DOUBLE.replace("        return", "        while 'fail' not in request.parameters:\n            pass\n        return"),
    DOUBLE + "    def load(self, settings, token):\n        import time\n        time.sleep(3600)\n",
], ids=["import", "run", "load"])
def test_ends_when_the_socket_closes_whatever_runs(start: Callable[..., Program], text: str) -> None:
    program = start(text)
    if text.startswith("\nfrom"):
        program.node.next()
        program.node.say_load()
    assert program.close() == (Exit.OK, "")


def test_a_node_that_breaks_the_contract_ends_it(start: Callable[..., Program]) -> None:
    program = start(DOUBLE)
    program.node.next()
    program.node.run(number(1))
    how, said = program.wait()
    assert how == Exit.CONTRACT and said.count("\n") == 1 and "a Run without a Loaded" in said


@pytest.mark.parametrize("arguments", [[], ["module"], ["module:"], [":Class"], ["a:B", "c"]])
def test_takes_no_wrong_arguments(tmp_path: pathlib.Path, arguments: list[str]) -> None:
    how, said = Program(tmp_path, *arguments).wait()
    assert how == Exit.USAGE and "MODULE:CLASS" in said


def test_needs_a_socket() -> None:
    done = subprocess.run([sys.executable, "-m", "troupe_skillset", "module:Class"], capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    assert done.returncode == Exit.USAGE and "descriptor 3 is no stream socket" in done.stderr
