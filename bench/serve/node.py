"""What every section of bench/serve/run needs: a node of its own, programs that answer with JSON, texts."""

import dataclasses
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import time

WORDS = ("the of and to in is was for on that with as by at from it are this be an which or not have but one all "
         "were").split()


class Failed(Exception):
    """Something that makes the figures worthless."""


@dataclasses.dataclass(frozen=True)
class Goal:
    what: str
    measured: str
    met: bool


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a section is given: where the programs are, the model's folder, a folder to write to, the texts' files, how
    many rounds, the seconds of a window."""
    build: pathlib.Path
    model: pathlib.Path
    folder: pathlib.Path
    texts: dict
    rounds: int
    seconds: float

    def program(self, name):
        return self.build / "bin" / name


def write_texts(folder):
    """Short texts of about 12 tokens, and mixed ones, of which one in ten has about 200."""
    chance = random.Random(1)
    text = lambda words: " ".join(chance.choices(WORDS, k=words))
    files = {"short": [text(10) for _ in range(997)],
             "mixed": [text(198 if chance.random() < 0.1 else chance.randint(4, 20)) for _ in range(997)]}
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return {name: str(folder / name) for name in files}


def call(*command):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failed(f"failed: {' '.join(map(str, command))}")
    return json.loads(done.stdout)


def copy_model(model, to, *, instances=None, options="", more=""):
    """The model in another folder, with other settings: its files are linked; `options` are more of its options, and
    `more` stands at the end of model.toml."""
    to.mkdir(parents=True)
    for file in model.iterdir():
        if file.name != "model.toml":
            (to / file.name).symlink_to(file.resolve())
    toml = (model / "model.toml").read_text()
    if instances:
        toml = f"instances = {instances}\n" + re.sub(r"(?m)^instances *=.*\n", "", toml)
    toml = toml.replace("[options]\n", f"[options]\n{options}\n")
    (to / "model.toml").write_text(f"{toml}\n{more}")
    return to


class Node:
    """A process of troupe-node with the models below `folder / "models"`, until the end of a `with`; its log goes into the
    file `log`, if there is one."""

    def __init__(self, build, folder, settings="", log_level="warning", log=None):
        self.ready_file = folder / "ready"
        config = folder / "troupe.toml"
        config.write_text(f'[models]\npath = "models"\n{settings}')
        command = [str(build / "bin" / "troupe-node"), f"--config={config}", "--listen=127.0.0.1:0",
                   "--http-listen=127.0.0.1:0", f"--log-level={log_level}", f"--ready-file={self.ready_file}"]
        with open(log or os.devnull, "w", encoding="utf-8") as lines:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=lines if log else None)

    def __enter__(self):
        end = time.monotonic() + 60
        while not self.ready_file.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise Failed("the node did not become ready")
            time.sleep(0.05)
        self.addresses = json.loads(self.ready_file.read_text())
        self.target = self.addresses["grpc"]
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
