"""Skillsets that are programs, in Python: served, bounded, stopped and replaced as all others are, and listed."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tritonclient.grpc as triton

from messages import fails, status_of, stub_of, tensor, texts
from node import PATIENCE
from streams import Stream
from test_hosts import OFTEN, eventually, hosts_of, state_of

ROOT = pathlib.Path(__file__).resolve().parents[2]

SETTINGS = """
[models]
path = "models"
[skillsets]
paths = ["plugins", "more"]
"""

# Says what its process is, and does what a request's parameter says.
SKILLS = '''
import os, socket, threading, time
from troupe_skillset import *

class Skills(Skillset):
    name = "skills"
    version = "1"
    options = [Option("greeting", "hello"), Option("count", 3, least=1, most=10)]
    signature = Signature([TensorSpec("in", "INT32", [-1])], [TensorSpec("out", "INT64", [-1])], decoupled=DECOUPLED)

    def load(self, settings, token):
        print("loading", settings.options["greeting"])

    def answer(self, request, token):
        def numbers(*values):
            return Response([Tensor.of("out", "INT64", values)])
        match request.parameters.get("do"):
            case "pid":
                return numbers(os.getpid())
            case "wait":
                print("waiting")
                token.wait()
                token.check()
            case "hang":
                print("hanging")
                while True:
                    pass
            case "allocate":
                return numbers(len(bytearray(1 << 30)))
            case "connect":
                socket.socket(socket.AF_INET)
            case "pair":
                a, b = socket.socketpair()
                return numbers(a.family)
            case "fail":
                raise SkillsetError(Code.OUT_OF_RANGE, "too much", "ask for less")
            case "exit":
                raise SystemExit(3)
        return numbers(*[1 * value for value in request.input("in").values()])
'''.replace("DECOUPLED", "False")

HOSTED = 'skillset = "skills"\non_failure = "unavailable"\n'


@pytest.fixture
def python(program, monkeypatch):
    """The Python that the skillsets run in, which finds the package as it was built."""
    package = program.parent.parent / "python"
    assert (package / "troupe_skillset").is_dir(), "build the target python_packages"
    monkeypatch.setenv("PYTHONPATH", str(package))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return sys.executable


def write_skillset(node, text=SKILLS, name="skills", python=sys.executable, folder="plugins"):
    """A module and its manifest, each in place of what was there."""
    place = node.folder / folder
    place.mkdir(exist_ok=True)
    for file, content in [(f"{name}.py", text), (f"{name}.toml", manifest(name, python))]:
        (place / "new").write_text(content)
        (place / "new").rename(place / file)


def manifest(name, python):
    return f'command = ["{python}", "-m", "troupe_skillset", "{name}:Skills"]\n'


@pytest.fixture
def make_python_node(make_node, python):
    """A node with the skillset above and a model of it, not started yet."""

    def make(toml=HOSTED, text=SKILLS, **settings):
        node = make_node({"skills": toml, "identity": 'skillset = "identity"\n'}, settings=SETTINGS, **settings)
        write_skillset(node, text)
        return node

    return make


@pytest.fixture
def skillsets_of(troupe):
    """What `troupe skillsets` tells of a node: the lists by their names."""

    def ask(node):
        done = troupe("--target", node.address, "--json", "skillsets")
        assert (done.returncode, done.stderr) == (0, "")
        found = {}
        for skillset in json.loads(done.stdout)["skillsets"]:
            found.setdefault(skillset["name"], []).append(skillset)
        return found

    return ask


def ask(client, what=None, values=(1, 2), model="skills"):
    inputs = [tensor("in", np.array(values, np.int32))]
    return client.infer(model, inputs, parameters={"do": what} if what else None).as_numpy("out").tolist()


def raw(what):
    request = triton.service_pb2.ModelInferRequest(model_name="skills")
    request.inputs.add(name="in", datatype="INT32", shape=[1])
    request.raw_input_contents.append((1).to_bytes(4, "little"))
    request.parameters["do"].string_param = what
    return request


def test_what_they_measure_is_among_the_nodes_metrics(make_python_node, troupe):
    text = SKILLS.replace("    def load(", """    metrics = [Metric("asked", "Requests that came"), Metric("last", "The first value of the last one", gauge=True)]
    asked = last = 0

    def measure(self):
        return self.asked, self.last

    def load(""").replace("        def numbers(", """        self.asked, self.last = self.asked + 1, request.input("in").values()[0]

        def numbers(""")
    node = make_python_node(HOSTED + OFTEN, text).start().wait_ready()

    def measured():
        lines = troupe("--target", node.address, "metrics").stdout.splitlines()
        return [float(line.split()[-1]) for line in lines if line.startswith("troupe_skillset_skills_")]

    with triton.InferenceServerClient(node.address) as client:
        for value in (3, 5, 4):
            assert ask(client, values=(value,)) == [value]
        # Behind the last answer, and with the two that warm it up: by its process, and by the node.
        eventually(lambda: measured() == [5, 4])
        [host] = hosts_of(node)
        os.kill(host, signal.SIGKILL)
        eventually(lambda: measured() == [5, 0])
        assert ask(client, values=(6,)) == [6]
        eventually(lambda: measured() == [8, 6])
    assert node.stop() == 0


def test_file_types_are_told_by_the_real_model(make_node, python, skillsets_of):
    node = make_node({}, settings=SETTINGS)
    (node.folder / "plugins").mkdir()
    text = (ROOT / "skillsets/file_type/file_type.toml").read_text()
    (node.folder / "plugins/file_type.toml").write_text(text.replace('"python3"', f'"{python}"'))
    node.write_model("types", (ROOT / "skillsets/file_type/model/model.toml").read_text())
    node.start().wait_ready()
    known = {
        "python": pathlib.Path(__file__).read_bytes(),
        "elf": pathlib.Path("/bin/true").read_bytes(),
        "json": json.dumps([{"name": f"model {i}", "state": "READY"} for i in range(20)]).encode(),
        "empty": b"",
        "txt": b"Hi!",
    }
    contents = lambda labels: [tensor("content", np.array([known[label] for label in labels], np.object_), "BYTES")]
    labels = lambda result: [label.decode() for label in result.as_numpy("label")]
    with triton.InferenceServerClient(node.address) as client:
        assert client.get_model_metadata("types").platform == "onnxruntime"
        result = client.infer("types", contents(known))
        assert labels(result) == list(known)
        assert result.as_numpy("mime_type").tolist()[0] == b"text/x-python"
        assert result.as_numpy("score").dtype == np.float32 and (result.as_numpy("score") > 0.5).all()

        def one(label):
            return labels(client.infer("types", contents([label, "empty"]))) == [label, "empty"]

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert all(pool.map(one, list(known) * 20))
        [found] = skillsets_of(node)["file_type"]
        assert (found["kind"], found["state"], found["platform"]) == ("program", "USABLE", "onnxruntime")
        assert (found["version"], found["file"]) == ("0.1.0", str(node.folder / "plugins/file_type.toml"))
        [option] = found["options"]
        assert (option["name"], option["type"], option["default"]) == ("prediction_mode", "text", "high_confidence")
        assert "best_guess" in option["choices"]
    assert node.stop() == 0


def test_file_type_keeps_the_contract(program, python, tmp_path):
    text = (ROOT / "skillsets/file_type/file_type.toml").read_text()
    (tmp_path / "file_type.toml").write_text(text.replace('"python3"', f'"{python}"'))
    done = subprocess.run(
        [program.parent / "troupe-conformance", "--skillset", tmp_path / "file_type.toml", "--model",
         ROOT / "skillsets/file_type/model", "--inputs=500", "--cycles=8", "--cancellations=20", "--instances=1",
         "--tolerance=0.05"],  # the model is quantised, by what is together in a batch
        capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guides_skillset_works_as_the_guide_says(make_node, python, troupe):
    words = b"bow stage\n"
    toml = (f'skillset = "blacken"\n[files]\nwords = {{ path = "words", sha256 = "{hashlib.sha256(words).hexdigest()}" }}\n'
            '[options]\nmark = "*"\n')
    node = make_node({"blacken": toml}, settings=SETTINGS)
    (node.folder / "models/blacken/words").write_bytes(words)
    (node.folder / "plugins").mkdir()
    shutil.copy(ROOT / "apps/examples/skillset/blacken.py", node.folder / "plugins")
    (node.folder / "plugins/blacken.toml").write_text(manifest("blacken", python).replace("Skills", "Blacken"))
    node.start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        answer = client.infer("blacken", texts("The actors take a Bow.", "On stage."))
        assert answer.as_numpy("blackened").tolist() == [b"The actors take a ***.", b"On *****."]
        with fails("INVALID_ARGUMENT", "no UTF-8"):
            client.infer("blacken", texts(b"\xff"))
        for words in (["load", "blacken"],
                      ["infer", "blacken", "--input", 'text=["The actors take a Bow.", "On stage."]']):
            done = troupe("--target", node.address, *words)
            assert done.returncode == 0, done.stderr
        assert "The actors take a ***." in done.stdout


def test_errors_are_their_requests_own(make_python_node):
    node = make_python_node().start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        [pid] = ask(client, "pid")
        with fails("OUT_OF_RANGE", "too much", "ask for less"):
            ask(client, "fail")
        with fails("INTERNAL", "SystemExit: 3"):
            ask(client, "exit")
        assert ask(client, "pid") == [pid]
        assert ask(client, values=[3, 4]) == [3, 4]
    assert any(event["line"] == "loading hello" for event in node.log.events("host says"))


def test_a_decoupled_skillset_streams(make_python_node):
    text = SKILLS.replace("decoupled=False", "decoupled=True").replace(
        "        return numbers(*[1", "        return (numbers(value) for value in request.input('in').values())\n"
        "        return numbers(*[1")
    node = make_python_node(text=text).start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        stream = Stream(client)
        stream.send("skills", [tensor("in", np.array([5, 6, 7], np.int32))])
        assert [stream.next().as_numpy("out").tolist() for _ in range(3)] == [[5], [6], [7]]
        assert not [answer for answer in stream.close() if answer.as_numpy("out") is not None]


def test_a_host_that_is_killed_while_it_loads_is_reported_and_loads_again(make_python_node):
    node = make_python_node(text=SKILLS.replace(
        'print("loading"', 'print("pid", os.getpid(), flush=True); token.wait(); print("loading"'))
    node.start()
    pid = lambda count: int(re.search(r"pid (\d+)", [
        event["line"] for event in node.log.wait_for("host says", count) if "pid" in event["line"]][-1])[1])
    os.kill(pid(1), signal.SIGKILL)
    [failed] = node.log.wait_for("model unavailable", model="skills")
    assert "was killed by signal 9" in failed["reason"]
    node.wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        assert state_of(client, "skills")[0] == "UNAVAILABLE"
        write_skillset(node)
        client.load_model("skills")
        assert ask(client) == [1, 2]


def test_a_host_that_is_killed_is_started_again(make_python_node):
    node = make_python_node(HOSTED + "[restart]\nintensity = 100\n").start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        [victim] = ask(client, "pid")
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: victim not in hosts_of(node))
        [next_one] = ask(client, "pid")
        assert next_one != victim


def test_work_that_is_cancelled_stops_and_its_host_lives(make_python_node):
    node = make_python_node(slots=1).start().wait_ready()
    with stub_of(node.address) as stub, triton.InferenceServerClient(node.address) as client:
        [pid] = ask(client, "pid")
        running = stub.ModelInfer.future(raw("wait"))
        node.log.wait_for("host says", line="waiting")
        running.cancel()
        assert ask(client, "pid") == [pid]
        assert status_of(running) == "CANCELLED"


def test_work_that_ignores_its_cancellation_costs_its_host(make_python_node):
    node = make_python_node(HOSTED + '[cancel]\ngrace = "100ms"\n').start().wait_ready()
    with stub_of(node.address) as stub, triton.InferenceServerClient(node.address) as client:
        [pid] = ask(client, "pid")
        running = stub.ModelInfer.future(raw("hang"))
        node.log.wait_for("host says", line="hanging")
        running.cancel()
        [next_one] = ask(client, "pid")
        assert next_one != pid
        assert status_of(running) == "CANCELLED"


def test_it_has_the_bounds_of_every_host(make_python_node):
    node = make_python_node(HOSTED + "[host]\nmemory_mib = 512\nopen_files = 64\n").start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        [pid] = ask(client, "pid")
        with fails("RESOURCE_EXHAUSTED", "there is no memory left"):
            ask(client, "allocate")
        with fails("INTERNAL", "PermissionError"):
            ask(client, "connect")
        assert ask(client, "pair") == [1]
        assert ask(client, "pid") == [pid]
        status = dict(line.split(":\t", 1) for line in
                      pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()
        most = {line[:25].strip(): line[26:46].strip() for line in limits}
        assert (most["Max data size"], most["Max open files"]) == (str(512 << 20), "64")
        assert most["Max core file size"] == "0"


def test_a_program_ends_with_its_node(make_python_node):
    node = make_python_node().start().wait_ready()
    [host] = hosts_of(node)
    node.kill()
    eventually(lambda: not pathlib.Path(f"/proc/{host}").exists())


def test_what_is_replaced_is_there_with_the_next_load(make_python_node, troupe, skillsets_of):
    node = make_python_node().start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        assert ask(client, values=[7]) == [7]
        write_skillset(node, SKILLS.replace("1 * value", "10 * value").replace('version = "1"', 'version = "2"').replace(
            'Option("count", 3, least=1, most=10)', 'Option("other", True)'))
        assert ask(client, values=[7]) == [7], "who is loaded stays as it is"
        done = troupe("--target", node.address, "load", "skills", "--set", "options.other=false")
        assert done.returncode == 0, done.stderr
        assert ask(client, values=[7]) == [70]
        [found] = skillsets_of(node)["skills"]
        assert found["version"] == "2" and [option["name"] for option in found["options"]] == ["greeting", "other"]


def test_a_skillset_is_added_to_a_running_node(make_python_node, skillsets_of):
    node = make_python_node().start().wait_ready()
    assert "later" not in skillsets_of(node)
    write_skillset(node, SKILLS.replace('name = "skills"', 'name = "later"'), "later", folder="more")
    [found] = skillsets_of(node)["later"]
    assert found["file"] == str(node.folder / "more/later.toml")
    node.write_model("later", 'skillset = "later"\n')
    with triton.InferenceServerClient(node.address) as client:
        client.load_model("later")
        assert ask(client, model="later") == [1, 2]


def test_every_skillset_is_listed_with_what_it_is_or_why_not(make_python_node, skillsets_of, troupe):
    node = make_python_node()
    plugins = node.folder / "plugins"
    (plugins / "garbage.so").write_text("this is no shared object")
    (plugins / "slip.toml").write_text('command = ["true"]\ncolour = "red"\n')
    (plugins / "absent.toml").write_text('command = ["./nowhere"]\n')
    (plugins / "brief.toml").write_text('command = ["sh", "-c", "echo out of order; exit 3"]\n')
    (plugins / "lost.toml").write_text(manifest("nowhere", sys.executable))
    write_skillset(node, folder="more")
    write_skillset(node, name="identity", folder="more")
    node.start().wait_ready()
    found = skillsets_of(node)
    states = {name: [each["state"] for each in listed] for name, listed in found.items()}
    refused = {name: ["REFUSED"] for name in ("absent", "brief", "garbage", "lost", "slip")}
    assert states == states | {"identity": ["USABLE", "SHADOWED"], "skills": ["USABLE", "SHADOWED"],
                               "triton_examples": ["USABLE"], **refused}
    assert list(found) == sorted(found)
    assert "slip.toml:2: 'colour' is not a known key" in found["slip"][0]["refused"]
    assert "nowhere', which is not there" in found["absent"][0]["refused"]
    assert "ended with exit code 3, and its last words were: out of order" in found["brief"][0]["refused"]
    assert "there is no module 'nowhere'" in found["lost"][0]["refused"]
    assert "garbage.so" in found["garbage"][0]["refused"]
    assert found["skills"][1]["shadowed_by"] == str(plugins / "skills.toml")
    assert found["identity"][1]["shadowed_by"] == "built in"
    built_in = found["identity"][0]
    assert (built_in["kind"], built_in["file"], built_in["platform"]) == ("built in", "", "troupe")
    assert built_in["version"] and built_in["options"][0]["name"] == "datatype"
    [greeting, count] = found["skills"][0]["options"]
    assert greeting == {"name": "greeting", "type": "text", "default": "hello"}
    assert count == {"name": "count", "type": "integer", "default": 3, "least": 1, "most": 10}

    before = len(node.log.events("host started"))
    assert skillsets_of(node) == found
    assert len(node.log.events("host started")) == before, "what is known isn't asked again"

    done = troupe("--target", node.address, "skillsets")
    assert (done.returncode, done.stderr) == (0, "")
    skillsets, options, details = (table.splitlines() for table in done.stdout.split("\n\n"))
    assert re.match(r"SKILLSET +KIND +VERSION +PLATFORM +STATE$", skillsets[0])
    assert any(re.match(r"skills +program +1 +python +USABLE$", line) for line in skillsets)
    assert any(re.match(r"skills +count +integer +3 +1 to 10$", line) for line in options)
    assert any(re.match(r"slip +refused +INVALID_ARGUMENT: ", line) for line in details)
    assert node.stop() == 0


def test_a_client_that_waits_for_a_hanging_skillset_can_leave(make_python_node, troupe):
    node = make_python_node()
    (node.folder / "plugins/silent.toml").write_text('command = ["sleep", "1000"]\n')
    node.start().wait_ready()
    done = troupe("--target", node.address, "--timeout", "500ms", "skillsets")
    assert done.returncode != 0 and "DEADLINE_EXCEEDED" in done.stderr
    with triton.InferenceServerClient(node.address) as client:
        assert ask(client) == [1, 2]
        eventually(lambda: len(hosts_of(node)) == 1)
    assert node.stop() == 0


def test_a_refused_plug_in_is_its_models_matter_alone(make_python_node):
    node = make_python_node(HOSTED)
    (node.folder / "plugins/garbage.so").write_text("this is no shared object")
    (node.folder / "plugins/slip.toml").write_text('command = ["true"]\ncolour = "red"\n')
    for name in ("garbage", "slip"):
        node.write_model(name, f'skillset = "{name}"\non_failure = "unavailable"\n[options]\nsize = 3\n')
    node.start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        assert ask(client) == [1, 2]
        state, reason = state_of(client, "garbage")
        assert state == "UNAVAILABLE" and "skillset 'garbage' cannot be used" in reason
        state, reason = state_of(client, "slip")
        assert state == "UNAVAILABLE" and "slip.toml:2: 'colour' is not a known key" in reason
        (node.folder / "plugins/slip.toml").unlink()
        write_skillset(node, SKILLS.replace('name = "skills"', 'name = "slip"').replace('"count", 3', '"size", 3'), "slip")
        client.load_model("slip")
        assert ask(client, model="slip") == [1, 2]


def test_a_model_of_a_plug_in_can_be_tuned(make_python_node, troupe):
    node = make_python_node()
    files = node.folder
    busy_ms = 20
    write_skillset(node, SKILLS.replace("        def numbers", f'''
        end = time.thread_time() + {busy_ms / 1000}
        while time.thread_time() < end:
            pass
        def numbers''', 1))
    words = ["tune", "models/skills", "--input", "in=[1, 2]", "--seconds", "50ms", "--in-flight", "2", "--json"]
    done = troupe(*words, cwd=files)
    assert done.returncode != 0 and "there is no skillset 'skills'" in done.stderr
    done = troupe(*words, "--skillsets", "plugins", cwd=files)
    assert done.returncode == 0, done.stderr
    as_it_is = json.loads(done.stdout.splitlines()[0])["as_it_is"]
    assert as_it_is["instances"] == 1
    assert as_it_is["cpu_ms"] >= busy_ms, "hosts count, too"


@pytest.mark.parametrize("toml, words", [
    ('skillset = "skills"\nisolation = "thread"\n', ["model.toml:2: 'isolation' is 'thread'", "is a program"]),
    ('skillset = "slip"\n', ["model.toml: skillset 'slip' cannot be used", "slip.toml:2: 'colour' is not a known key"]),
])
def test_a_node_does_not_start_with_a_wrong_model_that_it_cannot_be_without(make_python_node, toml, words):
    node = make_python_node(toml)
    (node.folder / "plugins/slip.toml").write_text('command = ["true"]\ncolour = "red"\n')
    assert node.start().wait() == 78
    said = "\n".join(node.log.lines)
    assert all(word in said for word in words), said


def test_a_shared_object_that_was_replaced_is_not_run_as_if_it_were_not(make_node, program, minilm, skillsets_of):
    installed = program.parent.parent / "lib/troupe/skillsets/text_embedding.so"
    node = make_node({}, settings=SETTINGS)
    plugin = node.folder / "plugins/text_embedding.so"
    plugin.parent.mkdir()
    shutil.copy(installed, plugin)
    files = [file for file in minilm.iterdir() if file.name != "model.toml"]
    node.write_model("minilm", 'isolation = "thread"\n' + (minilm / "model.toml").read_text(), files)
    node.start().wait_ready()
    with triton.InferenceServerClient(node.address) as client:
        client.load_model("minilm")
        shutil.copy(installed, node.folder / "new")
        (node.folder / "new").rename(plugin)
        with fails("FAILED_PRECONDITION", "skillset 'text_embedding' was replaced"):
            client.load_model("minilm")
        assert client.infer("minilm", texts("a text")).as_numpy("embedding").shape == (1, 384)
        first, second = skillsets_of(node)["text_embedding"]
        assert (first["file"], first["state"], second["state"]) == (str(plugin), "USABLE", "SHADOWED")
    assert node.stop() == 0
