"""Real content of known types through the real model: alone, in batches, and on as many threads as were given."""

from __future__ import annotations

import io
import json
import pathlib
import struct
import threading
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
from file_type import Detector, FileType
from magika import Magika, PredictionMode
from troupe_skillset import Batch, CancelToken, Item, Parameter, Request, Response, Settings, Tensor


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(range(16)) * 3 for _ in range(16))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as writer:
        writer.writestr("notes.txt", "the actors take a bow\n" * 50)
    return file.getvalue()


HTML = b"""<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>The players</title>
  <link rel="stylesheet" href="style.css">
</head>
<body>
  <h1>The players</h1>
  <p class="intro">Each of them has <a href="/one.html">exactly one owner</a>.</p>
</body>
</html>
"""

# Contents whose type is known, with Magika's name for it and the media type.
KNOWN: dict[str, tuple[bytes, str]] = {
    "python": (pathlib.Path(__file__).read_bytes(), "text/x-python"),
    "png": (png(), "image/png"),
    "zip": (archive(), "application/zip"),
    "json": (json.dumps([{"name": f"model {i}", "state": "READY", "version": i} for i in range(20)]).encode(),
             "application/json"),
    "html": (HTML, "text/html"),
    "elf": (pathlib.Path("/bin/true").read_bytes(), "application/x-executable-elf"),
    "empty": (b"", "inode/x-empty"),
    "txt": (b"Hi!", "text/plain"),
    "unknown": (b"\xff\xfe\x00", "application/octet-stream"),
}


class Recorded(Item):
    def __init__(self, contents: list[bytes]) -> None:
        self._request = Request([Tensor.of("content", "BYTES", contents)])
        self._token = CancelToken()
        self.answers: list[Response | BaseException] = []

    @property
    def request(self) -> Request:
        return self._request

    @property
    def token(self) -> CancelToken:
        return self._token

    def send(self, response: Response) -> None:
        raise AssertionError("it is not decoupled")

    def respond(self, answer: Response | BaseException) -> None:
        self.answers.append(answer)

    def complete(self) -> None:
        raise AssertionError("it is not decoupled")

    def texts(self, name: str) -> list[str]:
        [answer] = self.answers
        assert isinstance(answer, Response)
        return answer.output(name).strings()

    def scores(self) -> list[float]:
        [answer] = self.answers
        assert isinstance(answer, Response)
        return list(answer.output("score").values())


def loaded(threads: int = 1, options: Mapping[str, Parameter] | None = None) -> FileType:
    skills = FileType()
    defaults = {option.name: option.default for option in skills.options}
    skills.load(Settings("m", pathlib.Path("/"), {}, {**defaults, **(options or {})}, "CPU", 1, threads), CancelToken())
    return skills


@pytest.fixture(scope="module")
def skills() -> FileType:
    return loaded()


def run(skills: FileType, *items: Recorded) -> None:
    skills.run(Batch(items, CancelToken()))


@pytest.mark.parametrize("label", KNOWN)
def test_known_content_has_its_type(skills: FileType, label: str) -> None:
    content, mime_type = KNOWN[label]
    item = Recorded([content])
    run(skills, item)
    assert (item.texts("label"), item.texts("mime_type")) == ([label], [mime_type])
    [score] = item.scores()
    assert 0.5 < score <= 1


def test_a_batch_is_what_its_parts_are(skills: FileType) -> None:
    items = [Recorded([content for content, _ in KNOWN.values()]), Recorded([]), Recorded([KNOWN["png"][0]] * 3)]
    run(skills, *items)
    assert [item.texts("label") for item in items] == [list(KNOWN), [], ["png"] * 3]
    alone = Magika()
    for (content, _), score in zip(KNOWN.values(), items[0].scores(), strict=True):
        assert score == pytest.approx(alone.identify_bytes(content).score, abs=1e-4)


def test_what_is_cancelled_is_left_out(skills: FileType) -> None:
    items = [Recorded([KNOWN["png"][0]]), Recorded([KNOWN["zip"][0]])]
    items[0].token._cancel()
    run(skills, *items)
    assert not items[0].answers and items[1].texts("label") == ["zip"]


def test_a_batch_is_one_run_of_the_model(skills: FileType, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    predict = Detector._get_raw_predictions

    def counted(self: Detector, features: list[Any]) -> list[list[float]]:
        sizes.append(len(features))
        return predict(self, features)

    monkeypatch.setattr(Detector, "_get_raw_predictions", counted)
    run(skills, Recorded([KNOWN["png"][0], b""]), Recorded([KNOWN["zip"][0], KNOWN["json"][0]]))
    assert sizes == [3]


@pytest.mark.parametrize("threads", [1, 3])
def test_uses_as_many_threads_as_it_may(threads: int) -> None:
    def count() -> int:
        return len(list(pathlib.Path("/proc/self/task").iterdir()))

    before, python_before = count(), threading.active_count()
    skills = loaded(threads)
    run(skills, Recorded([content for content, _ in KNOWN.values()]))
    # The caller's own is one of them.
    assert count() - before - (threading.active_count() - python_before) == threads - 1


def test_a_guess_is_more_than_it_is_sure_of() -> None:
    assert [str(mode) for mode in PredictionMode] == list(FileType.options[0].choices)
    vague = b"begin the thing;\n x = 4 4 4;\n done maybe\n" * 3
    labels = {}
    for mode in ("high_confidence", "best_guess"):
        item = Recorded([vague])
        run(loaded(options={"prediction_mode": mode}), item)
        [labels[mode]] = item.texts("label")
    assert labels["high_confidence"] == "txt" != labels["best_guess"]


def test_warms_up_with_what_the_model_has_to_look_at(skills: FileType) -> None:
    item = Recorded(skills.warm_up().input("content").bytes_elements())
    run(skills, item)
    assert item.texts("label") == ["c"]
