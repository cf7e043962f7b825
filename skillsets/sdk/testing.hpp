#pragma once

#include "skillsets/sdk/run_one.hpp"

#include <any>
#include <optional>
#include <utility>
#include <vector>

/// For the tests of skillsets.
namespace troupe::testing_support {

/// The one response of a request that runs alone.
inline expected<inference_response> respond(instance& worker, const inference_request& request,
                                            const cancel_token& token = {}) {
  auto responses = run_one(worker, request, token);
  if (!responses)
    return std::move(responses).error();
  if (responses->size() != 1)
    return make_error(status_code::internal, std::to_string(responses->size()) + " responses where one was due");
  return std::move(responses->front());
}

/// A request of a batch that remembers its answers.
class recorded_item final : public work_item {
 public:
  explicit recorded_item(inference_request what, cancel_token token = {})
      : request_(std::move(what)), token_(std::move(token)) {}

  const inference_request& request() const noexcept override { return request_; }
  cancel_token token() const noexcept override { return token_; }
  void send(inference_response response) override { responses.push_back(std::move(response)); }
  void respond(expected<inference_response> answer) override { last.emplace(std::move(answer)); }
  void complete() override { completed = true; }
  const std::any& state() const noexcept override { return before; }
  void set_state(std::any state) override { after = std::move(state); }

  std::vector<inference_response> responses;
  std::optional<expected<inference_response>> last;
  bool completed = false;
  std::any before;  ///< the state of its sequence
  std::any after;   ///< that it leaves

 private:
  inference_request request_;
  cancel_token token_;
};

}  // namespace troupe::testing_support
