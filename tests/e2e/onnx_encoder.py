"""A text encoder as an ONNX file, of just enough of protobuf's encoding (https://onnx.ai/onnx/api/classes.html)."""

FLOAT, INT64 = 1, 7


def varint(value):
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def number(field, value):
    return varint(field << 3) + varint(value)


def text(field, value):
    content = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor(name, kind, axes):
    shape = b"".join(text(1, number(1, axis) if isinstance(axis, int) else text(2, axis)) for axis in axes)
    return text(1, name) + text(2, text(1, number(1, kind) + text(2, shape)))


def encoder_of_ids():
    """Its `last_hidden_state` [batch, tokens, 1] is the ids themselves."""
    to_float = text(1, "to") + number(3, FLOAT) + number(20, 2)
    cast = text(1, "input_ids") + text(2, "numbers") + text(4, "Cast") + text(5, to_float)
    unsqueeze = text(1, "numbers") + text(1, "axes") + text(2, "last_hidden_state") + text(4, "Unsqueeze")
    axes = number(1, 1) + number(2, INT64) + number(7, 2) + text(8, "axes")
    graph = (text(1, cast) + text(1, unsqueeze) + text(2, "ids") + text(5, axes) +
             text(11, tensor("input_ids", INT64, ["batch", "tokens"])) +
             text(11, tensor("attention_mask", INT64, ["batch", "tokens"])) +
             text(12, tensor("last_hidden_state", FLOAT, ["batch", "tokens", 1])))
    return number(1, 8) + text(7, graph) + text(8, number(2, 13))
