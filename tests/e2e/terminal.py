"""A program at a terminal, as a person has it."""

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time

from node import PATIENCE


class Terminal:
    """Runs a command with a terminal of its own; `screen` is all that it has written, as it came."""

    def __init__(self, command, **options):
        self._master, slave = pty.openpty()
        self.screen = ""
        self._seen = 0

        def take_terminal():
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=take_terminal, env=os.environ | {"TERM": "xterm"}, **options)
        os.close(slave)

    def type(self, text):
        os.write(self._master, text.encode())

    def expect(self, pattern):
        """Waits until what came since the last match has the pattern; the match."""
        end = time.monotonic() + PATIENCE
        while not (match := re.compile(pattern).search(self.screen, self._seen)):
            assert self._read(end - time.monotonic()), f"no {pattern!r} in {self.screen[self._seen:]!r}"
        self._seen = match.end()
        return match

    def wait(self):
        """The exit code."""
        end = time.monotonic() + PATIENCE
        while self._read(end - time.monotonic()):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, seconds):
        """False at the end of output."""
        ready, _, _ = select.select([self._master], [], [], max(seconds, 0))
        assert ready, f"hangs after {self.screen!r}"
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # Linux says so when nobody has the terminal any more
            return False
        self.screen += piece.decode(errors="replace")
        return bool(piece)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._master)
