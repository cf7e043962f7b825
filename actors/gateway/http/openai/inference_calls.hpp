#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/stream.hpp"
#include "actors/serving/served_model.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace troupe::openai {

class numbered_call;

/// What a call was answered with.
struct call_answer {
  std::size_t call;  ///< its number, in the order of submission
  expected<inference_response> response;
  bool last;  ///< of this call
};

/// Whose calls they are.
struct call_origin {
  std::string id;                    ///< of the request
  std::uint64_t client = 0;          ///< whom queues share their room by
  steady_clock::time_point began{};  ///< when the request was there
};

/// The inference requests that one request of a client is: under one scope, to one model, with one mailbox stream for
/// what they are answered with, which a coroutine takes out. Whoever answers never waits for that: a client that takes
/// nothing, until more answers wait than may, has all of them cancelled with RESOURCE_EXHAUSTED. So are those that go
/// on when this is destroyed. Used on one strand; answers come from any thread.
class inference_calls {
 public:
  /// Room for `most` calls, under `parent`.
  inference_calls(served_model::visit model, call_origin origin, const cancel_token& parent, std::size_t most);
  ~inference_calls();

  /// Submits one more. What it is refused with is the answer to none: errors of `prepare_call` and
  /// `served_model::submit`.
  expected<void> submit(inference_request input);

  /// Answers, one at least, in their order. What stopped all calls is an error.
  boost::asio::awaitable<expected<std::vector<call_answer>>> receive();

  /// The same, or none when `patience` is over first.
  boost::asio::awaitable<expected<std::vector<call_answer>>> receive_within(steady_clock::duration patience);

  served_model& model() const noexcept;

  /// Counts what it took to write the answers of all calls, which have ended well.
  void count_output(steady_clock::duration took) const;

 private:
  friend class numbered_call;

  /// What the calls share, some of which may go on for a while when nobody wants them any more.
  struct company;

  inference_calls(served_model::visit model, call_origin origin, const cancel_token& parent,
                  stream<call_answer> answers);

  const std::shared_ptr<company> company_;
  receive_half<call_answer> answers_;
  std::vector<std::shared_ptr<numbered_call>> calls_;
};

}  // namespace troupe::openai
