#pragma once

#include "actors/concurrency/error.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace ov {
class Model;
}  // namespace ov

namespace troupe {

/// Reads an encoder that was exported to ONNX (.onnx) or OpenVINO IR (.xml; `weights` is its .bin, empty: the file of
/// the same name). It must have the inputs `input_ids` and `attention_mask`, may have `token_type_ids`, and must give
/// `last_hidden_state` [batch, tokens, d] or an embedding that is pooled already [batch, d]; the output is looked for
/// under `last_hidden_state`, then `sentence_embedding`, and the only output counts under any name.
///
/// The result takes int64 inputs [-1, -1] and has that one output, as float32. INVALID_ARGUMENT, naming the file, for
/// anything else. A file made to do harm can crash the process: OpenVINO's ONNX reader trusts what it reads.
expected<std::shared_ptr<ov::Model>> read_encoder(const std::filesystem::path& path,
                                                  const std::filesystem::path& weights);

/// The text of an OpenVINO exception in one line.
std::string one_line(const std::exception& e);

}  // namespace troupe
