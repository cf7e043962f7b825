#pragma once

#include "skillsets/text_embedding/bert_config.hpp"
#include "skillsets/text_embedding/safetensors.hpp"

#include <memory>

namespace ov {
class Model;
}

namespace troupe {

/// Builds a BERT encoder (Devlin et al. 2018, as `BertModel` of Hugging Face's transformers computes it) from weights
/// in the names of that implementation, with or without a leading `bert.`.
///
/// Inputs, all int64 [batch, tokens]: `input_ids`, `attention_mask` (1: a token, 0: padding), `token_type_ids`. Output:
/// float32 `last_hidden_state` [batch, tokens, hidden]. The graph checks nothing: ids, types and the number of tokens
/// have to be within what `config` says. It keeps the weights mapped.
///
/// INVALID_ARGUMENT when a tensor is missing, has another shape than `config` wants, or is none of F32, F16 and BF16;
/// the cause names the tensor alone, and not the file.
expected<std::shared_ptr<ov::Model>> build_bert(const bert_config& config, const safetensors_file& weights);

}  // namespace troupe
