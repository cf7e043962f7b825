"""The command line troupe against a node, as a person and as a script use it."""

import json
import math
import os
import re
import signal
import socket
import subprocess

import pytest

from conftest import IDENTITY
from node import PATIENCE, Node
from test_hosts import hosts_of


@pytest.fixture(scope="module")
def embedder(program, minilm):
    """The address of a node with the demo model."""
    with Node(program, {"identity": IDENTITY}) as node:
        node.write_model("minilm", (minilm / "model.toml").read_text(),
                         [file for file in minilm.iterdir() if file.name != "model.toml"])
        node.start().wait_ready()
        yield node.address
        assert node.stop() == 0


def start(program, *arguments, **options):
    return subprocess.Popen([program.with_name("troupe"), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def test_embed_prints_a_line_of_numbers_for_each_text(troupe, embedder):
    done = troupe("--target", embedder, "embed", "The actors take a bow.", "")
    assert (done.returncode, done.stderr) == (0, "")
    vectors = [[float(number) for number in line.split(" ")] for line in done.stdout.splitlines()]
    assert [len(vector) for vector in vectors] == [384, 384]
    for vector in vectors:
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)


def test_embed_prints_json_with_the_same_numbers(troupe, embedder):
    plain = troupe("--target", embedder, "embed", 'A "quoted" text\n')
    answer = json.loads(troupe("--target", embedder, "embed", "--json", 'A "quoted" text\n').stdout)
    assert answer == {"text": 'A "quoted" text\n', "embedding": [float(n) for n in plain.stdout.split()]}


def test_embed_answers_each_line_of_an_input_that_goes_on(program, embedder):
    with start(program, "--target", embedder, "--json", "embed", "-") as process:
        for text in ("one", "", "a third one, with ünïcödé"):
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_embed_sends_any_number_of_lines(troupe, embedder):
    done = troupe("--target", embedder, "embed", "-", input="x\n" * 3000)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 3000)


def test_embed_says_how_many_texts_were_cut(troupe, embedder):
    done = troupe("--target", embedder, "embed", "word " * 1000, "short")
    assert done.returncode == 0
    assert done.stderr == "troupe: 1 text was longer than the model takes and cut\n"


def test_embed_names_the_text_that_is_no_utf_8(troupe, embedder):
    done = troupe("--target", embedder, "embed", "good", b"\xff\xfe")
    assert (done.returncode, done.stdout) == (65, "")
    assert re.match("troupe: INVALID_ARGUMENT: .*1.*UTF-8", done.stderr)


def test_similarity_compares_every_two_texts(troupe, embedder):
    texts = ["The actors take a bow.", "The players bow to the audience.", "Interest rates went up."]
    table = json.loads(troupe("--target", embedder, "--json", "embed", "--similarity", *texts).stdout)
    assert table["texts"] == texts
    matrix = table["similarity"]
    for i in range(3):
        assert matrix[i][i] == pytest.approx(1, abs=1e-5)
        assert matrix[i] == [row[i] for row in matrix]
    assert matrix[0][1] > 0.5 > matrix[0][2]
    for_people = troupe("--target", embedder, "embed", "--similarity", *texts).stdout
    assert f"{matrix[0][1]:.3f}" in for_people.splitlines()[1]


def test_embed_needs_a_model_that_embeds(troupe, node):
    done = troupe("--target", node.address, "embed", "text")
    assert done.returncode == 66
    assert done.stderr.startswith("troupe: NOT_FOUND: the node has no ready model that embeds texts")


def test_infer_asks_the_model_for_what_the_input_does_not_say(troupe, embedder):
    answer = troupe("--target", embedder, "--json", "infer", "minilm", "--input", "text=hello", "--id", "a name")
    document = json.loads(answer.stdout)
    assert (document["id"], document["parameters"]) == ("a name", {"prompt_tokens": 3, "truncated_texts": 0})
    assert document["outputs"][0]["shape"] == [1, 384]


def test_infer_prints_what_it_sent(troupe, node):
    done = troupe("--target", node.address, "infer", "identity", "--input", "input:INT16[2,2]=[1,2,3,-4]")
    assert (done.returncode, done.stdout) == (0, "output INT16 [2, 2]\n[[1, 2],\n [3, -4]]\n")


def test_infer_sends_a_file_as_it_is(troupe, node, tmp_path):
    file = tmp_path / "bytes"
    file.write_bytes(bytes(range(256)))
    done = troupe("--target", node.address, "--json", "infer", "identity", "--input", f"input:UINT8=@{file}")
    assert json.loads(done.stdout)["outputs"][0]["data"] == list(range(256))
    assert troupe("--target", node.address, "infer", "identity", "--input", "input:UINT8=@nowhere").returncode == 66


@pytest.mark.parametrize("arguments, code, text", [
    (["infer", "nobody", "--input", "x:FP32[1]=1"], 66, "NOT_FOUND: there is no model 'nobody'"),
    (["infer", "identity", "--model-version", "9", "--input", "input:FP32[1]=1"], 66, "has no version '9'"),
    (["infer", "identity", "--input", "wrong:FP32[1]=1"], 65, "INVALID_ARGUMENT: input 'input' is missing"),
    (["infer", "identity", "--input", "input:UINT8[1]=256"], 65, "256, which is no UINT8"),
    (["infer", "identity", "--input", "input:UINT8[2]=[1]"], 65, "has 2 elements"),
    (["infer", "identity", "--input", "nothing"], 64, "has no '='"),
    (["--timeout", "-1", "status"], 64, "timeout"),
    (["--target", "nowhere", "status"], 64, "has no port"),
    (["embed"], 64, "TEXT"),
    (["dance"], 64, "dance"),
    ([], 64, "subcommand"),
    (["skillset"], 64, "subcommand"),
    (["skillset", "new"], 64, "NAME"),
    (["skillset", "new", "../x"], 65, "'../x' can't be a skillset's name"),
    (["skillset", "new", "x", "--folder", "/nowhere/x"], 66, "there is no folder around it"),
    (["skillset", "new", "x", "--folder", "/tmp"], 73, "'/tmp' is there already"),
])
def test_what_is_wrong_has_its_exit_code_and_one_message(troupe, node, arguments, code, text):
    done = troupe(*arguments, env=os.environ | {"TROUPE_TARGET": node.address})
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr


def test_status_and_models_tell_what_the_node_has(troupe, node):
    status = json.loads(troupe("--target", node.address, "--json", "status").stdout)
    [model] = status["models"]
    assert (status["ready"], model["name"], model["state"], model["reason"]) == (True, "identity", "READY", "")
    before = model["counts"]
    assert troupe("--target", node.address, "infer", "identity", "--input", "input=1").returncode == 0
    after = json.loads(troupe("--target", node.address, "--json", "status").stdout)["models"][0]["counts"]
    assert {what: after[what] - before[what] for what in after} == dict.fromkeys(after, 0) | {"answered": 1, "batches": 1}
    assert " ANSWERED " in troupe("--target", node.address, "status").stdout
    [model] = json.loads(troupe("--target", node.address, "--json", "models").stdout)["models"]
    assert (model["name"], model["inputs"]) == ("identity", [{"name": "input", "datatype": "ANY", "shape": [-1]}])
    assert "identity  1        READY" in troupe("--target", node.address, "models").stdout


def test_models_restart_brings_back_what_kept_failing(troupe, make_node):
    models = {"identity": 'skillset = "identity"\nisolation = "process"\non_failure = "unavailable"\n'
                          "[restart]\nintensity = 0\n"}
    node = make_node(models).start().wait_ready()
    tell = lambda *words: troupe("--target", node.address, *words)
    os.kill(hosts_of(node)[0], signal.SIGKILL)
    node.log.wait_for("model unavailable")
    done = tell("status")
    assert "identity UNAVAILABLE: " in done.stdout and "was killed by signal 9" in done.stdout
    done = tell("models", "restart", "identity")
    assert (done.returncode, done.stdout) == (0, "identity is READY\n")
    assert tell("infer", "identity", "--input", "input=1").returncode == 0
    assert tell("models", "restart", "nobody").returncode == 66
    assert tell("models", "restart").returncode == 64
    assert tell("models", "dance").returncode == 64


def test_status_waits_for_a_node_that_starts_later(program, make_node):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    with start(program, "--target", address, "status", "--wait", str(PATIENCE)) as waiting:
        node = make_node(listen=address).start().wait_ready()
        assert b"identity READY" in waiting.communicate(timeout=PATIENCE)[0]
    assert waiting.returncode == 0
    assert node.stop() == 0


def test_a_new_skillset_is_where_it_says(troupe, tmp_path):
    done = troupe("skillset", "new", "text_length", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The skillset text_length is in text_length;")
    assert (tmp_path / "text_length" / "text_length.cpp").is_file()
    done = troupe("--json", "skillset", "new", "text_length", "--folder", str(tmp_path / "other"))
    assert json.loads(done.stdout) == {"skillset": "text_length", "folder": str(tmp_path / "other")}
    assert (tmp_path / "other" / "models" / "text_length" / "model.toml").is_file()


def test_nobody_there_is_unavailable_at_once(troupe):
    done = troupe("--target", "127.0.0.1:1", "models")
    assert done.returncode == 69
    assert re.match("troupe: UNAVAILABLE: nobody answers at 127.0.0.1:1.*troupe-node", done.stderr)


def test_a_timeout_is_124(troupe, node):
    done = troupe("--target", node.address, "--timeout", "100ms", "infer", "identity", "--input", "input:FP32[1]=1",
                  "--param", "delay_ms=600000")
    assert done.returncode == 124
    assert "no answer from" in done.stderr


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_the_request_in_the_node(program, make_node, number, code):
    node = make_node(log_level="trace").start().wait_ready()
    with start(program, "--target", node.address, "infer", "identity", "--input", "input:FP32[1]=1", "--id", "left",
               "--param", "delay_ms=600000") as process:
        node.log.wait_for("executing")
        process.send_signal(number)
        assert process.wait(PATIENCE) == code
    assert node.log.wait_for("request", id="left")[0]["code"] == "CANCELLED"


def test_a_reader_that_has_seen_enough_is_no_failure(program, embedder):
    with start(program, "--target", embedder, "embed", "-") as process:
        process.stdin.write(b"text\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b"text\n")
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == b""


def test_output_that_is_lost_is_a_failure(program, node):
    with open("/dev/full", "w") as full:
        done = subprocess.run([program.with_name("troupe"), "--target", node.address, "models"], stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.returncode == 74
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize("line, words", [
    ("troupe st", ["status"]),
    ("troupe d", ["devices"]),
    ("troupe infer ", ["identity"]),
    ("troupe --json embed --model id", ["identity"]),
    ("troupe embed --sim", ["--similarity"]),
    ("troupe completion ", ["bash", "fish", "zsh"]),
    ("troupe skillset ", ["new"]),
    ("troupe skillset new x --fo", ["--folder"]),
    ("troupe models ", ["restart"]),
    ("troupe models restart i", ["identity"]),
    ("troupe --target 127.0.0.1:1 infer ", [""]),
])
def test_bash_completes(program, node, line, words):
    script = f'source <(troupe completion bash); COMP_LINE={line!r}; COMP_POINT={len(line)}; _troupe troupe; ' \
             'printf "%s\\n" "${COMPREPLY[@]}"'
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}", "TROUPE_TARGET": node.address}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=PATIENCE, env=environment)
    assert (done.stderr, done.stdout.splitlines()) == ("", words)
