#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"
#include "apps/troupe/generation.hpp"

#include <string>

namespace troupe::cli {

struct chat_options {
  std::string model;    ///< empty: the only ready model that generates text
  std::string message;  ///< empty: those that are typed, or all of standard input where that is no terminal
  std::string system;   ///< what the model is told before all; empty: nothing
  generation_options generation;
};

/// Talks with a model, and prints its answers as they are generated. At a terminal the conversation goes on until its
/// end of input: each message is answered in the light of those before, Ctrl-C ends an answer and not the program, and
/// what goes wrong with a message is told, and the message forgotten. Otherwise there is one message and its answer.
expected<void> chat(session& with, const chat_options& options);

}  // namespace troupe::cli
