#include "skillsets/sdk/conformance/checks.hpp"

#include "skillsets/sdk/run_one.hpp"

#include <algorithm>
#include <functional>
#include <thread>

namespace troupe::conformance {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

error by_the_check() {
  return make_error(status_code::cancelled, "the check has cancelled it");
}

/// As many requests as a batch has room for, so that there is something to stop.
std::vector<inference_request> much_work(subject& whom) {
  const auto most = std::clamp<std::int64_t>(whom.model().batching().limits.items, 1, 64);
  std::vector<inference_request> requests;
  while (static_cast<std::int64_t>(requests.size()) < most)
    requests.push_back(whom.make_request());
  return requests;
}

/// How late work ended after it was to stop.
class lateness {
 public:
  void add(steady_clock::duration how_late) { all_.push_back(std::max(how_late, steady_clock::duration{})); }

  std::string summary() {
    if (all_.empty())
      return "none was still running";
    std::sort(all_.begin(), all_.end());
    const auto ms = [](steady_clock::duration time) {
      return std::to_string(std::chrono::duration_cast<microseconds>(time).count() / 1000) + "." +
             std::to_string(std::chrono::duration_cast<microseconds>(time).count() / 100 % 10);
    };
    return std::to_string(all_.size()) + " stopped; p50 " + ms(all_[all_.size() / 2]) + " ms, longest " +
           ms(all_.back()) + " ms";
  }
  bool within(milliseconds grace) const {
    return std::all_of(all_.begin(), all_.end(), [&](auto late) { return late <= grace; });
  }

 private:
  std::vector<steady_clock::duration> all_;
};

std::string too_late(const subject& whom, lateness& times) {
  return "work went on for more than " + std::to_string(whom.how().cancel_grace.count()) +
         " ms after it was to stop: " + times.summary();
}

/// What must hold after work was stopped: outcomes are answers or the reason, and the next request is answered as it
/// was before.
std::string fault_after(const expected<std::vector<outcome>>& outcomes, const error& reason) {
  if (!outcomes)
    return outcomes.error().code == reason.code ? "" : "stopped work ends with " + outcomes.error().message();
  for (const auto& each : *outcomes)
    if (each.ended && each.failure && each.failure->code != reason.code)
      return "a stopped request ends with " + each.failure->message();
  return "";
}

/// Work to be stopped, and a request whose answer was seen before.
struct trial {
  instance* worker;
  std::vector<inference_request> work;
  inference_request request;
  std::vector<inference_response> responses;

  expected<std::vector<outcome>> run(const cancel_token& token) const { return run_all(*worker, work, token); }
};

expected<trial> make_trial(subject& whom) {
  const auto worker = whom.worker();
  if (!worker)
    return worker.error();
  auto request = whom.make_request();
  auto responses = run_one(**worker, request, {});
  if (!responses)
    return responses.error();
  return trial{*worker, much_work(whom), std::move(request), *std::move(responses)};
}

std::string fault_of_next(subject& whom, const trial& what, const char* stop) {
  if (!what.worker->usable())
    return std::string{"it did not survive "} + stop;
  const auto again = run_one(*what.worker, what.request, {});
  if (!again)
    return "after work was stopped a good request fails: " + again.error().message();
  if (!whom.how().deterministic)
    return "";
  const auto apart = difference(what.responses, *again, whom.how().tolerance);
  return apart.empty() ? "" : "after work was stopped " + apart;
}

finding found(const subject& whom, lateness& times) {
  return times.within(whom.how().cancel_grace) ? passed(times.summary()) : failed(too_late(whom, times));
}

microseconds duration_of(const std::function<void()>& work) {
  const auto began = steady_clock::now();
  work();
  return std::max(microseconds{1}, std::chrono::duration_cast<microseconds>(steady_clock::now() - began));
}

/// What `work` comes to when its token is cancelled at a random moment of the next `whole`; notes how late it ended.
template <class Work>
auto cancelled_at_random(subject& whom, microseconds whole, lateness& times, Work work) {
  cancel_scope scope;
  steady_clock::time_point cancelled_at;
  const microseconds delay{whom.random()() % static_cast<std::uint64_t>(whole.count())};
  std::jthread canceller{[&] {
    std::this_thread::sleep_for(delay);
    cancelled_at = steady_clock::now();
    scope.cancel(by_the_check());
  }};
  auto came_to = work(scope.token());
  const auto ended = steady_clock::now();
  if (scope.token().cancelled())
    times.add(ended - cancelled_at);
  return came_to;
}

}  // namespace

finding stops_when_cancelled(subject& whom) {
  const auto what = make_trial(whom);
  if (!what)
    return failed(what.error().message());
  const auto whole = duration_of([&] { static_cast<void>(what->run({})); });
  lateness times;
  for (std::size_t i = 0; i != whom.how().cancellations; ++i) {
    const auto outcomes =
        cancelled_at_random(whom, whole, times, [&](const cancel_token& token) { return what->run(token); });
    if (auto fault = fault_after(outcomes, by_the_check()); !fault.empty())
      return failed(std::move(fault));
    if (auto fault = fault_of_next(whom, *what, "being cancelled"); !fault.empty())
      return failed(std::move(fault));
  }
  return found(whom, times);
}

finding stops_at_the_deadline(subject& whom) {
  const auto what = make_trial(whom);
  if (!what)
    return failed(what.error().message());
  lateness times;
  for (const auto left : {milliseconds{-1}, milliseconds{0}, milliseconds{1}, milliseconds{5}}) {
    const auto deadline = steady_clock::now() + left;
    const cancel_scope scope{deadline};
    const auto outcomes = what->run(scope.token());
    if (scope.token().cancelled()) {
      times.add(steady_clock::now() - deadline);
      if (auto fault = fault_after(outcomes, scope.token().reason()); !fault.empty())
        return failed(std::move(fault));
    }
    if (auto fault = fault_of_next(whom, *what, "a deadline"); !fault.empty())
      return failed(std::move(fault));
  }
  return found(whom, times);
}

finding stops_loading(subject& whom) {
  expected<void> loads;
  const auto whole = duration_of([&] {
    if (const auto loaded = whom.load(); !loaded)
      loads = loaded.error();
  });
  if (!loads)
    return failed(loads.error().message());
  lateness times;
  for (int i = 0; i != 10; ++i) {
    const auto loaded =
        cancelled_at_random(whom, whole, times, [&](const cancel_token& token) { return whom.load(token); });
    if (!loaded && loaded.error().code != status_code::cancelled)
      return failed("a cancelled load ends with " + loaded.error().message());
  }
  // A load is bounded by how long it takes, and not by the grace of a run.
  const auto most = std::max<milliseconds>(whom.how().cancel_grace, std::chrono::ceil<milliseconds>(2 * whole));
  return times.within(most) ? passed(times.summary()) : failed("a cancelled load goes on: " + times.summary());
}

}  // namespace troupe::conformance
