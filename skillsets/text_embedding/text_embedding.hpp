#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <memory>

namespace troupe {

/// Turns texts into vectors whose directions compare their meanings, with any BERT-family encoder.
///
/// Signature: BYTES `text` [-1], each element UTF-8, to FP32 `embedding` [-1, d]. A text of more tokens than the model
/// takes is cut; the response parameter `truncated_texts` counts those that were. Errors: INVALID_ARGUMENT, naming
/// the text, for one that isn't UTF-8.
///
/// Files: `tokenizer` (tokenizer.json), and either `weights` (safetensors) and `config` (config.json) of a BERT encoder
/// or `model`, an encoder as ONNX or OpenVINO IR, of which `weights` is then the .bin. `sentence_config`
/// (sentence_bert_config.json) may add the longest text. Options: see README.md.
std::unique_ptr<skillset> make_text_embedding_skillset();

}  // namespace troupe
