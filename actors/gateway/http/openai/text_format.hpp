#pragma once

#include "actors/gateway/http/openai/api_error.hpp"
#include "actors/gateway/http/openai/text_answer.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace troupe::openai {

/// What every object of an answer says of it.
struct answer_head {
  std::string id;           ///< such as `chatcmpl-…`
  std::int64_t created;     ///< seconds since the epoch
  std::string model;        ///< as the client named it
  std::string fingerprint;  ///< the same for as long as the same program serves the same model
};

/// `prefix` and 128 random bits. Thread-safe.
std::string make_id(const std::string& prefix);

/// How an endpoint tells what a model wrote: as one object, or as server-sent events, which it appends to `events`. For
/// one request; what it is told comes in the order in which it came from the model, choice by choice, and `choices` has
/// it already.
class text_format {
 public:
  virtual ~text_format() = default;

  /// The answer in one object. Nothing else was called before.
  virtual json whole(std::span<const text_choice> choices) = 0;

  /// Begins a stream.
  virtual void begin(std::string& events) { static_cast<void>(events); }

  /// A piece of choice `index`.
  virtual void add(std::size_t index, const text_piece& piece, std::string& events) = 0;

  /// Ends a stream, all of whose choices have finished.
  virtual void end(std::span<const text_choice> choices, std::string& events) = 0;

  /// Ends a stream that can't go on.
  virtual void fail(const api_error& why, std::string& events) = 0;
};

/// Appends a server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html).
void append_event(std::string& events, const json& data);

/// Ends a stream of completions or chats.
void append_done(std::string& events);

/// The same for one that can't go on: it ends without `[DONE]`.
void append_error(std::string& events, const api_error& why);

}  // namespace troupe::openai
