#include "skillsets/sdk/conformance/checks.hpp"

#include "skillsets/sdk/continuous_work.hpp"
#include "skillsets/sdk/run_one.hpp"

#include <list>

namespace troupe::conformance {
namespace {

/// A request of a continuous instance, and what it should come to.
class guest final : public work_item {
 public:
  guest(const inference_request& what, const std::vector<inference_response>& due) : request_(what), due_(due) {}

  const inference_request& request() const noexcept override { return request_; }
  cancel_token token() const noexcept override { return scope_.token(); }
  void send(inference_response response) override { responses_.push_back(std::move(response)); }
  void respond(expected<inference_response> answer) override {
    if (answer)
      send(*std::move(answer));
    else
      failure_ = answer.error();
    ended_ = true;
  }
  void complete() override { ended_ = true; }

  void cancel() { scope_.cancel(make_error(status_code::cancelled, "the check has cancelled it")); }
  bool ended() const noexcept { return ended_; }

  std::string fault(const options& how) const {
    if (scope_.token().cancelled())
      return "";
    if (failure_)
      return failure_->message();
    return how.deterministic ? difference(due_, responses_, how.tolerance) : "";
  }

 private:
  const inference_request& request_;
  const std::vector<inference_response>& due_;
  cancel_scope scope_;
  std::vector<inference_response> responses_;
  std::optional<error> failure_;
  bool ended_ = false;
};

}  // namespace

finding keeps_requests_apart(subject& whom) {
  const auto worker = whom.worker();
  if (!worker)
    return failed(worker.error().message());
  auto* const engine = (*worker)->continuous();
  if (!engine)
    return skipped("the model works on batches");
  std::vector<inference_request> requests;
  std::vector<std::vector<inference_response>> due;
  for (int i = 0; i != 10; ++i) {
    requests.push_back(whom.make_request());
    auto alone = run_one(**worker, requests.back(), {});
    if (!alone)
      return failed(alone.error().message());
    due.push_back(*std::move(alone));
  }
  std::list<guest> guests;
  continuous_work work{*engine};
  for (int i = 0; i != 100 || !work.empty();) {
    for (; i != 100 && work.has_room(); ++i) {
      const auto which = whom.random()() % requests.size();
      work.admit(guests.emplace_back(requests[which], due[which]));
    }
    if (whom.random()() % 4 == 0)
      for (auto& each : guests)
        if (!each.ended() && whom.random()() % 4 == 0)
          each.cancel();
    if (const auto stepped = work.step(); !stepped)
      return failed("a step fails: " + stepped.error().message());
  }
  for (const auto& each : guests) {
    if (!each.ended())
      return failed("a request has no last word although nothing is in any more");
    if (const auto fault = each.fault(whom.how()); !fault.empty())
      return failed("in the company of others that come and go " + fault);
  }
  return passed(std::to_string(guests.size()) + " requests, " + std::to_string(engine->capacity()) + " at once");
}

}  // namespace troupe::conformance
