"""python -m troupe_skillset module:Class: the program that a node starts for a skillset."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import stat
import sys
from typing import NoReturn

from ._batch import log_exception
from ._server import Exit, Server, end_process, say
from .skillset import Skillset

NODE_SOCKET = 3

USAGE = """usage: python -m troupe_skillset MODULE:CLASS

Runs one instance of a model for troupe-node, which starts it as a manifest says:
  command = ["python3", "-m", "troupe_skillset", "MODULE:CLASS"]
Descriptor 3 is the socket to the node. Modules are found beside the manifest, too.
Exit codes: 0 the socket was closed; 64 wrong arguments, or no socket; 65 the node broke the contract;
66 the module or the class is not there; 70 it can't be imported or described."""


def fail(why: str, how: Exit) -> NoReturn:
    say(why)
    os._exit(how)


def node_socket() -> socket.socket:
    try:
        if stat.S_ISSOCK(os.fstat(NODE_SOCKET).st_mode):
            connection = socket.socket(fileno=NODE_SOCKET)
            if connection.type == socket.SOCK_STREAM:
                return connection
    except OSError:
        pass
    fail("FAILED_PRECONDITION: descriptor 3 is no stream socket (let troupe-node start this program: name it in a "
         "manifest beside the skillsets)", Exit.USAGE)


def find(name: str) -> Skillset:
    module, _, called = name.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
            fail(f"NOT_FOUND: there is no module '{module}' in {sys.path}", Exit.MISSING)
        log_exception(error)
        fail(f"INTERNAL: cannot import '{module}': {error}", Exit.INTERNAL)
    except BaseException as error:
        log_exception(error)
        fail(f"INTERNAL: cannot import '{module}': {type(error).__name__}: {error}", Exit.INTERNAL)
    kind = getattr(found, called, None)
    if not (isinstance(kind, type) and issubclass(kind, Skillset)):
        fail(f"NOT_FOUND: module '{module}' has no class '{called}' that is a Skillset", Exit.MISSING)
    try:
        return kind()
    except BaseException as error:
        log_exception(error)
        fail(f"INTERNAL: cannot make a '{called}': {type(error).__name__}: {error}", Exit.INTERNAL)


def main() -> NoReturn:
    # What is printed is for the node's log, and is to be there when it is printed.
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    if len(sys.argv) != 2 or not all(part for part in sys.argv[1].partition(":")):
        print(USAGE, file=sys.stderr)
        os._exit(Exit.USAGE)
    # An interrupt is the node's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Before the skillset is imported: its code may hang from then on, and must not outlive the conversation.
    server = Server(node_socket())
    how = server.serve(find(sys.argv[1]))
    end_process(how)
    raise AssertionError("the process has ended")


if __name__ == "__main__":
    main()
