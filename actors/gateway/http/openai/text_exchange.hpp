#pragma once

#include "actors/gateway/http/exchange.hpp"
#include "actors/gateway/http/openai/inference_calls.hpp"
#include "actors/gateway/http/openai/text_format.hpp"
#include "actors/gateway/http/openai/text_request.hpp"

#include <chrono>
#include <span>
#include <string>
#include <vector>

namespace troupe::openai {

/// One exchange in which models write: asks them, and answers with what they write, whole or as a stream. What goes
/// wrong before the stream has begun is an answer with its status; a stream that has begun says it and ends.
class text_exchange {
 public:
  /// All of them outlive it. `keep_alive`: how long a stream may say nothing.
  text_exchange(http_exchange& exchange, const text_request& request, text_format& format, inference_calls& calls,
                std::chrono::milliseconds keep_alive);

  /// Asks, and answers. An error is one that the client has not been told.
  boost::asio::awaitable<expected<void>> run();

 private:
  using answers = std::vector<call_answer>;

  boost::asio::awaitable<expected<void>> answer_whole();
  boost::asio::awaitable<expected<void>> answer_in_pieces();
  boost::asio::awaitable<void> stream(std::string events);

  expected<void> submit();
  expected<void> take(const answers& received, std::string* events);
  bool finished() const noexcept { return left_ == 0; }
  void count_output() const;

  http_exchange& exchange_;
  const text_request& request_;
  text_format& format_;
  inference_calls& calls_;
  const std::chrono::milliseconds keep_alive_;
  std::vector<text_choice> choices_;
  std::size_t left_;                  // choices that have not finished
  steady_clock::duration writing_{};  // what the answer took to write, so far
};

}  // namespace troupe::openai
