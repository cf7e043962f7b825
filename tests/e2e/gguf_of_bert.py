"""Writes a sentence encoder of the BERT family as a GGUF file, as llama.cpp's own convert_hf_to_gguf.py does with --outtype
f32: the same keys, names and tokens. That program needs PyTorch and transformers; this needs neither."""

import json
import mmap

import gguf
import numpy as np

# What that program finds for the tokenizer of uncased BERTs.
PRE_TOKENIZER = "jina-v2-en"
SPECIAL = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
# The pooling layer of BERT itself, and what follows from the shapes.
UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")


def tensors_of(file):
    """The tensors of a safetensors file, in FP32: 8 bytes with the length of a JSON object, the object, and the data."""
    with file.open("rb") as opened:
        data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    begin = 8 + int.from_bytes(data[:8], "little")
    for name, entry in json.loads(data[8:begin]).items():
        if name == "__metadata__" or name in UNUSED:
            continue
        assert entry["dtype"] == "F32", f"{name} has {entry['dtype']}"
        first, last = entry["data_offsets"]
        yield name, np.frombuffer(data[begin + first:begin + last], "<f4").reshape(entry["shape"])


def phantom(token, kind):
    """WordPiece's continuations have no mark, and what begins a word has one."""
    if kind == gguf.TokenType.CONTROL:
        return token
    return token[2:] if token.startswith("##") else "\u2581" + token


def write_vocabulary(writer, folder, size):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    special = {token["id"] for token in tokenizer["added_tokens"] if token["special"]}
    ids = tokenizer["model"]["vocab"]
    words = {number: word for word, number in ids.items()}
    kinds = [gguf.TokenType.CONTROL if i in special else
             gguf.TokenType.NORMAL if i in words else gguf.TokenType.UNUSED for i in range(size)]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list([phantom(words.get(i, f"[PAD{i}]"), kind) for i, kind in enumerate(kinds)])
    writer.add_token_types(kinds)
    found = gguf.SpecialVocab(folder, n_vocab=size)
    # In the models' repositories these stand in tokenizer_config.json.
    for kind, word in SPECIAL.items():
        found.special_token_ids.setdefault(kind, ids[word])
    found.add_to_gguf(writer, quiet=True)


def convert(folder, file, *, pooling=gguf.PoolingType.MEAN):
    """Of a folder with config.json, tokenizer.json and model.safetensors. Without `pooling` the file doesn't say how to
    pool, as it is where a model's folder doesn't."""
    config = json.loads((folder / "config.json").read_text())
    layers = config["num_hidden_layers"]
    writer = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.BERT])
    writer.add_name("all MiniLM L6 v2")
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    writer.add_token_type_count(config["type_vocab_size"])
    write_vocabulary(writer, folder, config["vocab_size"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    for name, tensor in tensors_of(folder / "model.safetensors"):
        known = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert known, f"llama.cpp has no name for {name}"
        writer.add_tensor(known, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
