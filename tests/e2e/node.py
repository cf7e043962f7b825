"""A troupe-node of one's own: with its own settings and models, watched by its events, and never left behind."""

import collections
import json
import pathlib
import signal
import subprocess
import tempfile
import threading
import time

# Nothing here takes long. Only what hangs takes this long, even under a sanitizer on a busy machine.
PATIENCE = 120

SETTINGS = """
[grpc]
max_message_mib = {max_message_mib}
shared_memory = true
[http]
{http}
[models]
path = "models"
[cpu]
slots = {slots}
[shutdown]
drain = "{drain}"
grace = "{grace}"
"""


class Log:
    """What a node writes to standard error, line by line as it comes."""

    def __init__(self, stream):
        self.lines = []
        self._events = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._reader.start()

    def _read(self, stream):
        # Only a newline ends a line: what else Python takes for one may stand in a value.
        for line in iter(stream.readline, b""):
            with self._changed:
                self.lines.append(line.decode().removesuffix("\n"))
                if line.startswith(b"{"):
                    self._events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def join(self):
        """Returns once the node has closed its end."""
        self._reader.join(PATIENCE)

    def events(self, event=None, **fields):
        """The events so far, all of them or those of a kind. Lines that are no JSON are no events."""
        so_far = list(self._events)
        return [e for e in so_far if (event is None or e["event"] == event) and fields.items() <= e.items()]

    def wait_for(self, event, count=1, **fields):
        """The events of a kind, as soon as there are `count`."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.events(event, **fields)) >= count or self._ended, PATIENCE)
        found = self.events(event, **fields)
        assert len(found) >= count, f"no {count} events '{event}' {fields} in:\n" + "\n".join(self.lines[-20:])
        return found


class Node:
    """One process of troupe-node. `models` maps a model's name to the text of its model.toml."""

    def __init__(self, program, models, *, settings=None, listen="127.0.0.1:0", http_listen="127.0.0.1:0", http="",
                 log_level="debug", log_format="json", max_message_mib=64, slots=0, drain="10s", grace="2s"):
        self.program = program
        self._files = tempfile.TemporaryDirectory(prefix="troupe-e2e-")
        self.folder = pathlib.Path(self._files.name)
        self.config = self.folder / "troupe.toml"
        self.config.write_text(settings or SETTINGS.format(
            max_message_mib=max_message_mib, http=http, slots=slots, drain=drain, grace=grace))
        self.ready_file = self.folder / "ready"
        self.arguments = [f"--config={self.config}", f"--listen={listen}", "--http-listen", http_listen,
                          f"--log-level={log_level}", f"--log-format={log_format}"]
        self.process = None
        for name, toml in models.items():
            self.write_model(name, toml)

    def write_model(self, name, toml, files=()):
        """Puts a model into the repository; `files` are linked, because some are large."""
        model = self.folder / "models" / name
        model.mkdir(parents=True)
        (model / "model.toml").write_text(toml)
        for file in files:
            (model / file.name).symlink_to(file)
        return model

    def openai_options(self, **others):
        """How OpenAI's clients find the node; they try nothing again unless it is asked for."""
        return {"base_url": f"http://{self.http_address}/v1", "api_key": "none is needed", "max_retries": 0,
                "timeout": PATIENCE} | others

    def start(self, output=subprocess.PIPE):
        """Starts the process and returns at once; wait_ready() or wait() tell what became of it."""
        # Whatever ends the test, even SIGKILL, ends the node too; and a Ctrl-C in the terminal is the test's alone.
        command = ["setpriv", "--pdeathsig", "KILL", str(self.program), *self.arguments,
                   f"--ready-file={self.ready_file}"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                        stderr=subprocess.PIPE, start_new_session=True)
        self.output = Log(self.process.stdout) if self.process.stdout else None
        self.log = Log(self.process.stderr)
        return self

    def wait_ready(self):
        """Waits for the ready file; the addresses in it are kept in `address` and `http_address`."""
        end = time.monotonic() + PATIENCE
        while not self.ready_file.exists():
            assert self.process.poll() is None, f"ended with {self.wait()} instead of becoming ready: {self.log.lines}"
            assert time.monotonic() < end, f"is neither ready nor at an end: {self.log.lines}"
            time.sleep(0.01)
        addresses = json.loads(self.ready_file.read_text())
        self.address, self.http_address = addresses["grpc"], addresses.get("http")
        return self

    def wait(self):
        """The exit code, once the process has ended and everything that it wrote is read."""
        code = self.process.wait(PATIENCE)
        self.log.join()
        if self.output:
            self.output.join()
        return code

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def stop(self):
        """Asks the node to stop; its exit code."""
        self.signal()
        return self.wait()

    def kill(self):
        """Ends the process with SIGKILL if it has not ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def counts(self, model):
        """What a model says at its end of the requests it got: admitted, executed, refused, withdrawn."""
        [event] = self.log.events("model stopped", model=model)
        return Counts(**{name: event[name] for name in Counts._fields})

    def close(self):
        self.kill()
        self._files.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


Counts = collections.namedtuple("Counts", "admitted executed refused withdrawn")
