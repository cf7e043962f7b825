"""troupe chat and troupe complete: at a terminal, and as a script uses them.

What they show of any model is tested with one that says what it is told to; that they speak to a language model, with
SmolLM2.
"""

import json
import os
import signal
import subprocess
import sys

import pytest

from node import PATIENCE, Node
from terminal import Terminal

PLUGGED = """
[models]
path = "models"
[skillsets]
paths = ["plugins"]
"""

# Answers with what the last message, or the prompt, asks for.
PARROT = '''
import json
import os
from troupe_skillset import *

class Parrot(Skillset):
    name = "parrot"
    signature = Signature([TensorSpec("text_input", "BYTES", [1])], [TensorSpec("text_output", "BYTES", [1])],
                          decoupled=True)

    def answer(self, request, token):
        def piece(text, **parameters):
            return Response([Tensor.of("text_output", "BYTES", [text.encode()])], parameters)
        def last(text="", reason="stop"):
            return piece(text, finish_reason=reason, prompt_tokens=7, completion_tokens=3, cached_tokens=2)
        [prompt] = request.input("text_input").bytes_elements()
        prompt = prompt.decode()
        said = prompt if request.parameters.get("prompt_format") != "chat" else json.loads(prompt)[-1]["content"]
        match said:
            case "what was I told?":
                yield last(json.dumps([prompt, dict(request.parameters)]))
            case "think":
                yield piece("", reasoning="Hm. ")
                yield piece("", reasoning="Well.")
                yield last("Yes.")
            case "wait":
                yield piece("I begin")
                print("waiting")
                token.wait()
                print("released")
                token.check()
            case "command the terminal":
                yield last("a\\x1b[31mb\\x07c\\u009bd\\ne\\tf")
            case wish if wish.startswith("wait for "):
                yield piece("I begin")
                while not os.path.exists(wish.removeprefix("wait for ")):
                    token.wait(0.01)
                    token.check()
                yield last(" and end")
            case "fail":
                raise SkillsetError(Code.OUT_OF_RANGE, "the prompt is too long", "say less")
            case "fail later":
                yield piece("I begin")
                raise SkillsetError(Code.RESOURCE_EXHAUSTED, "no room")
            case "go on for ever":
                while not token.cancelled:
                    yield piece("word " * 100)
            case "be cut":
                yield last("as far as", "length")
            case _:
                for word in said.split():
                    yield piece(word + "|")
                yield last()
'''


def chat(program, node, *arguments):
    return Terminal([program.with_name("troupe"), "--target", node.address, "chat", *arguments])


@pytest.fixture(scope="module")
def parrot(program):
    """A node whose only model that generates text is the parrot."""
    package = program.parent.parent / "python"
    assert (package / "troupe_skillset").is_dir(), "build the target python_packages"
    with pytest.MonkeyPatch.context() as patch, Node(program, {"parrot": 'skillset = "parrot"\ninstances = 2\n',
                                                               "identity": 'skillset = "identity"\n'},
                                                     settings=PLUGGED) as node:
        patch.setenv("PYTHONPATH", str(package))
        patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        plugins = node.folder / "plugins"
        plugins.mkdir()
        (plugins / "parrot.py").write_text(PARROT)
        (plugins / "parrot.toml").write_text(
            f'command = ["{sys.executable}", "-m", "troupe_skillset", "parrot:Parrot"]\n')
        node.start().wait_ready()
        yield node
        assert node.stop() == 0


def test_an_answer_is_printed_whole(troupe, parrot):
    done = troupe("--target", parrot.address, "chat", "parrot", "one two")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one|two|\n", "")


def test_a_message_comes_from_standard_input(troupe, parrot):
    done = troupe("--target", parrot.address, "chat", input="one\ntwo\n")
    assert (done.returncode, done.stdout) == (0, "one|two|\n")


def test_there_has_to_be_a_message(troupe, parrot):
    done = troupe("--target", parrot.address, "chat", input="\n")
    assert (done.returncode, done.stdout) == (65, "")
    assert "there is no message" in done.stderr


def test_the_model_is_told_what_the_command_line_says(troupe, parrot, tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object"}')
    done = troupe("--target", parrot.address, "chat", "parrot", "what was I told?", "--system", "Be brief.",
                  "--temperature", "0.5", "--max-tokens", "9", "--seed", "-4", "--stop", "x", "--stop", "ÿ",
                  "--json-schema", str(schema), "--param", "top_p=0.25", "--param", "top_k=4")
    [messages, parameters] = json.loads(done.stdout)
    assert json.loads(messages) == [{"role": "system", "content": "Be brief."},
                                    {"role": "user", "content": "what was I told?"}]
    assert parameters == {"prompt_format": "chat", "stream": True, "temperature": 0.5, "max_tokens": 9, "seed": -4,
                          "stop": '["x","ÿ"]', "json_schema": '{"type": "object"}', "top_p": 0.25, "top_k": 4}


def test_what_the_command_line_leaves_out_is_the_models_choice(troupe, parrot):
    done = troupe("--target", parrot.address, "complete", "parrot", "what was I told?")
    assert json.loads(done.stdout) == ["what was I told?", {"prompt_format": "text", "stream": True}]


def test_complete_takes_the_text_as_it_is(troupe, parrot):
    done = troupe("--target", parrot.address, "complete", "parrot", "-", "--json-schema", ' {"a":1}', input="x\n\n")
    assert (done.returncode, done.stdout) == (0, "x|\n")


def test_json_has_the_whole_answer_in_a_line(troupe, parrot):
    done = troupe("--target", parrot.address, "--json", "chat", "parrot", "think")
    assert json.loads(done.stdout) == {"text": "Yes.", "reasoning": "Hm. Well.", "finish_reason": "stop",
                                       "prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": 2}


def test_an_answer_that_was_cut_says_so(troupe, parrot):
    done = troupe("--target", parrot.address, "chat", "parrot", "be cut")
    assert (done.returncode, done.stdout) == (0, "as far as\n")
    assert "--max-tokens" in done.stderr


@pytest.mark.parametrize("arguments, code, shown, text", [
    (["chat", "parrot", "fail"], 65, "", "OUT_OF_RANGE: the prompt is too long; say less"),
    (["chat", "parrot", "fail later"], 75, "I begin\n", "RESOURCE_EXHAUSTED: no room"),
    (["chat", "nobody", "x"], 66, "", "there is no model 'nobody'"),
    (["chat", "identity", "x"], 65, "", "INVALID_ARGUMENT: input"),
    (["complete", "parrot", "x", "--json-schema", "/nowhere"], 66, "", "'/nowhere' can't be read"),
    (["complete", "parrot", "x", "--json-schema", "{"], 65, "", "not JSON"),
    (["complete", "parrot", b"\xff"], 65, "", "not UTF-8"),
    (["chat", "parrot", b"\xff"], 65, "", "not UTF-8"),
    (["chat", "parrot", "x", "--system", b"\xff"], 65, "", "not UTF-8"),
    (["complete", "parrot", "x", "--stop", b"\xff"], 65, "", "not UTF-8"),
    (["complete", "parrot"], 64, "", "TEXT"),
    (["chat", "parrot", "x", "--temperature", "hot"], 64, "", "temperature"),
])
def test_what_is_wrong_has_its_exit_code_and_one_message(troupe, parrot, arguments, code, shown, text):
    done = troupe("--target", parrot.address, *arguments)
    assert (done.returncode, done.stdout) == (code, shown)
    assert text in done.stderr and done.stderr.count("\n") == 1


def test_the_only_model_has_to_be_there(troupe, node):
    done = troupe("--target", node.address, "chat", input="x")
    assert (done.returncode, done.stdout) == (66, "")
    assert "the node has no ready model that generates text" in done.stderr


def test_nobody_answers(troupe):
    done = troupe("--target", "127.0.0.1:1", "chat", "parrot", "x")
    assert (done.returncode, done.stdout) == (69, "")


def test_a_piece_may_take_as_long_as_a_call(troupe, parrot):
    done = troupe("--target", parrot.address, "--timeout", "300ms", "chat", "parrot", "wait")
    assert (done.returncode, done.stdout) == (124, "I begin\n")
    assert "DEADLINE_EXCEEDED" in done.stderr


def test_a_reader_that_has_seen_enough_ends_it(program, parrot):
    with subprocess.Popen([program.with_name("troupe"), "--target", parrot.address, "chat", "parrot", "go on for ever"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(4) == b"word"
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_program_where_nobody_types(program, parrot, number, code):
    with subprocess.Popen([program.with_name("troupe"), "--target", parrot.address, "chat", "parrot", "wait"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(7) == b"I begin"
        process.send_signal(number)
        assert process.wait(PATIENCE) == code


def test_a_conversation_is_answered_in_the_light_of_what_was_said(program, parrot):
    with chat(program, parrot, "--system", "Be brief.") as terminal:
        terminal.expect("> ")
        terminal.type("one two\n")
        terminal.expect(r"one\|two\|\r\n")
        terminal.expect("> ")
        terminal.type("what was I told?\n")
        [messages, _] = json.loads(terminal.expect(r"\r\n(\[.*\])\r\n").group(1))
        assert json.loads(messages) == [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "one two"},
            {"role": "assistant", "content": "one|two|"}, {"role": "user", "content": "what was I told?"}]
        terminal.type("/clear\n")
        terminal.type("what was I told?\n")
        [messages, _] = json.loads(terminal.expect(r"\r\n(\[.*\])\r\n").group(1))
        assert len(json.loads(messages)) == 2
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_ctrl_c_ends_an_answer_and_not_the_conversation(program, parrot):
    before = len(parrot.log.events("host says", line="released"))
    with chat(program, parrot) as terminal:
        terminal.expect("> ")
        terminal.type("wait\n")
        terminal.expect("I begin")
        terminal.type("\x03")
        terminal.expect("> ")
        parrot.log.wait_for("host says", before + 1, line="released")
        terminal.type("what was I told?\n")
        [messages, _] = json.loads(terminal.expect(r"\r\n(\[.*\])\r\n").group(1))
        assert [message["content"] for message in json.loads(messages)] == ["wait", "I begin", "what was I told?"]
        terminal.expect("> ")
        terminal.type("half a mess\x03")
        terminal.expect("Ctrl-D ends")
        terminal.expect("> ")
        terminal.type("alive\n")
        terminal.expect(r"alive\|\r\n")
        terminal.type("/exit\n")
        assert terminal.wait() == 0


def test_what_is_typed_during_an_answer_is_read_after_it(program, parrot, tmp_path):
    with chat(program, parrot) as terminal:
        terminal.type(f"wait for {tmp_path}/it\n")
        terminal.expect("I begin")
        terminal.type("later\n\x04")
        (tmp_path / "it").touch()
        terminal.expect(r"later\|\r\n")
        assert terminal.wait() == 0
        assert "I begin and end\r\n" in terminal.screen, "nothing typed stands in it"


def test_what_goes_wrong_is_told_and_forgotten(program, parrot):
    with chat(program, parrot) as terminal:
        terminal.type("fail\n")
        terminal.expect("troupe: OUT_OF_RANGE: the prompt is too long; say less")
        terminal.type("/dance\n")
        terminal.expect("no such command")
        terminal.type("\n")
        terminal.type("what was I told?\n")
        [messages, _] = json.loads(terminal.expect(r"\r\n(\[.*\])\r\n").group(1))
        assert len(json.loads(messages)) == 1
        terminal.type("/exit\n")
        assert terminal.wait() == 0


def test_an_earlier_message_comes_back_and_can_be_changed(program, parrot):
    with chat(program, parrot) as terminal:
        terminal.expect("> ")
        terminal.type("größer\n")
        terminal.expect(r"größer\|\r\n")
        terminal.expect("> ")
        terminal.type("\x1b[A\x1b[D\x7fß\n")  # up, left, backspace
        terminal.expect(r"größßr\|\r\n")
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_nothing_that_a_model_says_commands_the_terminal(program, parrot, troupe):
    with chat(program, parrot, "parrot", "command the terminal") as terminal:
        assert terminal.wait() == 0
        assert terminal.screen == "a [31mb c d\r\ne\tf\r\n"
    # In a file it is what it was.
    done = troupe("--target", parrot.address, "chat", "parrot", "command the terminal")
    assert done.stdout == "a\x1b[31mb\x07c\x9bd\ne\tf\n"


def test_thoughts_are_dimmed_at_a_terminal_and_left_out_elsewhere(program, parrot, troupe):
    with chat(program, parrot, "parrot", "think") as terminal:
        assert terminal.wait() == 0
        assert terminal.screen == "\x1b[2mHm. Well.\x1b[0m\r\nYes.\r\n"
    assert troupe("--target", parrot.address, "chat", "parrot", "think").stdout == "Yes.\n"


def test_sigterm_ends_a_conversation(program, parrot):
    with chat(program, parrot) as terminal:
        terminal.expect("> ")
        terminal.process.terminate()
        assert terminal.wait() == 143
    with chat(program, parrot) as terminal:
        terminal.type("wait\n")
        terminal.expect("I begin")
        terminal.process.terminate()
        assert terminal.wait() == 143


def test_the_shell_completes_the_commands_and_the_models(troupe, parrot):
    completed = troupe("__complete", "--target", parrot.address, "chat", "par")
    assert (completed.returncode, completed.stdout) == (0, "parrot\n")
    assert {"chat", "complete", "completion"} <= set(troupe("__complete", "c").stdout.split())


@pytest.fixture(scope="module")
def language_model(program, smollm2):
    """A node with SmolLM2."""
    with Node(program, {}) as node:
        node.write_model("smollm2", (smollm2 / "model.toml").read_text(), smollm2.glob("*.gguf"))
        node.start().wait_ready()
        yield node
        assert node.stop() == 0


GREEDY = ["--temperature", "0", "--max-tokens", "100"]


def test_a_language_model_answers(troupe, language_model):
    done = troupe("--target", language_model.address, "chat", *GREEDY, input="Name the capital of France.\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Paris" in done.stdout


def test_a_language_model_remembers(program, language_model):
    with chat(program, language_model, *GREEDY) as terminal:
        terminal.expect("> ")
        terminal.type("Name the capital of France.\n")
        terminal.expect("is Paris")
        terminal.expect("> ")
        terminal.type("And of Germany?\n")
        terminal.expect("is Berlin")
        terminal.expect("> ")
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_a_language_model_answers_in_a_schema(troupe, language_model):
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 30}, "million": {"type": "integer"}},
              "required": ["city", "million"], "additionalProperties": False}
    done = troupe("--target", language_model.address, "chat", "smollm2", "A large city, and how many live there?", *GREEDY,
                  "--json-schema", json.dumps(schema))
    answer = json.loads(done.stdout)
    assert isinstance(answer["city"], str) and isinstance(answer["million"], int) and len(answer) == 2


def test_a_language_model_goes_on(troupe, language_model):
    done = troupe("--target", language_model.address, "--json", "complete", "smollm2", "One, two, three, four,",
                  "--temperature", "0", "--max-tokens", "4")
    answer = json.loads(done.stdout)
    assert "five" in answer["text"]
    assert (answer["finish_reason"], answer["completion_tokens"]) == ("length", 4)


def test_a_seed_makes_answers_alike(troupe, language_model):
    def ask(seed):
        return troupe("--target", language_model.address, "chat", "smollm2", "Write a poem.", "--temperature", "1.5",
                      "--max-tokens", "30", "--seed", seed).stdout

    assert ask("1") == ask("1") != ask("2")
