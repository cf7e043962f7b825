"""Log settings that a client can read and change, and trace settings that it can read."""

import pytest
import tritonclient.grpc as triton
from google.protobuf.json_format import MessageToDict

from messages import fails, numbers


@pytest.fixture
def verbose(make_node):
    """A node of one's own, at level info: its log is changed."""
    return make_node(log_level="info").start().wait_ready()


def log_of(answer):
    """Log settings by their names."""
    return {name: next(iter(value.values())) for name, value in MessageToDict(answer)["settings"].items()}


def at(error=True, warning=True, info=True, verbose=0):
    return {"log_file": "", "log_format": "json", "log_error": error, "log_warning": warning, "log_info": info,
            "log_verbose_level": verbose}


def test_log_settings_are_those_of_the_node(make_node):
    for level, settings in {"off": at(False, False, False), "error": at(True, False, False),
                            "warning": at(info=False), "info": at(), "debug": at(verbose=1),
                            "trace": at(verbose=2)}.items():
        node = make_node(log_level=level).start().wait_ready()
        with triton.InferenceServerClient(node.address) as client:
            assert log_of(client.get_log_settings()) == settings, level


def test_the_log_speaks_and_falls_silent_as_it_is_told(verbose):
    with triton.InferenceServerClient(verbose.address) as client:
        def infer_and_see(request_id):
            client.infer("identity", numbers(), request_id=request_id)

        infer_and_see("silent")
        assert log_of(client.update_log_settings({"log_verbose_level": 1})) == at(verbose=1)
        infer_and_see("debug")
        verbose.log.wait_for("request", id="debug")
        assert verbose.log.events("log level changed") == [
            {**verbose.log.events("log level changed")[0], "from": "info", "to": "debug"}]
        assert log_of(client.update_log_settings({"log_verbose_level": 7})) == at(verbose=2)
        infer_and_see("trace")
        verbose.log.wait_for("admitted")
        assert log_of(client.update_log_settings({"log_verbose_level": 0})) == at()
        infer_and_see("silent again")
        assert log_of(client.update_log_settings({"log_info": False})) == at(info=False)
        with fails("NOT_FOUND"):
            client.infer("nothing", numbers(), request_id="unheard")
        assert log_of(client.update_log_settings({"log_info": True})) == at()
        with fails("NOT_FOUND"):
            client.infer("nothing", numbers(), request_id="heard")
    assert verbose.stop() == 0
    assert [event["id"] for event in verbose.log.events("request")] == ["debug", "trace", "heard"]


def test_all_settings_together_are_taken_as_they_were_given(verbose):
    with triton.InferenceServerClient(verbose.address) as client:
        for settings in at(verbose=2), at(info=False), at():
            assert log_of(client.update_log_settings(settings)) == settings


BAD = [
    ({"log_verbosity": True}, "INVALID_ARGUMENT", "'log_verbosity'"),
    ({"log_info": None}, "INVALID_ARGUMENT", "'log_info'"),
    ({"log_info": True, "log_error": False}, "INVALID_ARGUMENT", "contradict"),
    ({"log_file": "/tmp/log"}, "UNIMPLEMENTED", "redirect"),
    ({"log_format": "ISO8601"}, "UNIMPLEMENTED", "--log-format"),
]


@pytest.mark.parametrize("settings, code, word", BAD)
def test_wrong_log_settings_change_nothing(client, settings, code, word):
    before = client.get_log_settings()
    with fails(code, word):
        client.update_log_settings({**settings, "log_verbose_level": 2} if code == "UNIMPLEMENTED" else settings)
    assert client.get_log_settings() == before


TRACE = {"trace_level": ["OFF"], "trace_rate": ["1000"], "trace_count": ["-1"], "log_frequency": ["0"],
         "trace_file": [""], "trace_mode": ["triton"]}


def trace_of(answer):
    return {name: list(setting.value) for name, setting in answer.settings.items()}


def test_trace_settings_are_those_of_a_triton_that_traces_nothing(client):
    assert trace_of(client.get_trace_settings()) == TRACE
    assert trace_of(client.get_trace_settings("identity")) == TRACE
    with fails("NOT_FOUND", "'nothing'"):
        client.get_trace_settings("nothing")


def test_trace_settings_may_be_set_to_what_they_are_only(client):
    assert trace_of(client.update_trace_settings(settings=TRACE)) == TRACE
    assert trace_of(client.update_trace_settings("identity", {"trace_level": None})) == TRACE
    with fails("UNIMPLEMENTED", "'trace_level'", "LogSettings"):
        client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]})
    with fails("INVALID_ARGUMENT", "'trace_color'"):
        client.update_trace_settings(settings={"trace_color": "red"})
    with fails("NOT_FOUND", "'nothing'"):
        client.update_trace_settings("nothing", {"trace_rate": "1"})
