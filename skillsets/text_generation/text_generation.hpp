#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <memory>

namespace troupe {

/// Writes texts with language models, and makes vectors of texts with those that are made for it, all of them GGUF
/// files that llama.cpp knows.
///
/// What writes is decoupled: BYTES `text_input` [1], a prompt or a chat, to BYTES `text_output` [1], the text in one
/// response or piece by piece. What embeds has the signature of the skillset text_embedding. Parameters, options and
/// errors: see README.md. File: `weights`.
std::unique_ptr<skillset> make_text_generation_skillset();

}  // namespace troupe
