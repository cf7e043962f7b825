#include "skillsets/sdk/run_one.hpp"

#include <optional>
#include <utility>

namespace troupe {
namespace {

class lone_item final : public work_item {
 public:
  lone_item(const inference_request& request, cancel_token token) : request_(request), token_(std::move(token)) {}

  const inference_request& request() const noexcept override { return request_; }
  cancel_token token() const noexcept override { return token_; }

  void send(inference_response response) override {
    if (!ended_)
      responses_.push_back(std::move(response));
  }
  void respond(expected<inference_response> answer) override {
    if (answer)
      send(*std::move(answer));
    else if (!ended_)
      failure_ = std::move(answer).error();
    ended_ = true;
  }
  void complete() override { ended_ = true; }

  expected<std::vector<inference_response>> outcome(expected<void> run) {
    if (failure_)
      return *std::move(failure_);
    if (!run && !ended_)
      return std::move(run).error();
    if (!ended_)
      return make_error(status_code::internal, "the skillset gave no answer");
    return std::move(responses_);
  }

 private:
  const inference_request& request_;
  const cancel_token token_;
  std::vector<inference_response> responses_;
  std::optional<error> failure_;
  bool ended_ = false;
};

}  // namespace

expected<std::vector<inference_response>> run_one(instance& worker, const inference_request& request,
                                                  const cancel_token& token) {
  lone_item item{request, token};
  work_item* const batch[] = {&item};
  return item.outcome(run_contained(worker, batch, token));
}

}  // namespace troupe
