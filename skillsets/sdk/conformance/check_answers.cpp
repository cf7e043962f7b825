#include "skillsets/sdk/conformance/checks.hpp"

#include "skillsets/sdk/run_one.hpp"
#include "skillsets/sdk/validate.hpp"

#include <algorithm>
#include <thread>

namespace troupe::conformance {
namespace {

constexpr std::size_t most_together = 8;

std::int64_t items_of(const inference_request& request, const signature& what) {
  return what.batches && !request.inputs.empty() && !request.inputs.front().shape.empty()
             ? request.inputs.front().shape.front()
             : 1;
}

/// What is wrong with an outcome by the signature; empty: nothing.
std::string fault_of(const std::vector<inference_response>& responses, const inference_request& request,
                     const signature& what) {
  if (!what.decoupled && responses.size() != 1)
    return std::to_string(responses.size()) + " responses from a model that is not decoupled";
  for (const auto& response : responses) {
    if (const auto right = validate_outputs(response.outputs, what); !right)
      return right.error().cause;
    if (what.batches && !what.decoupled)
      for (const auto& output : response.outputs)
        if (output.shape.empty() || output.shape.front() != items_of(request, what))
          return "output '" + output.name + "' has shape " + shape_to_string(output.shape) + " for " +
                 std::to_string(items_of(request, what)) + " items";
  }
  return "";
}

/// Requests that fit into one batch of the model's.
std::vector<inference_request> make_requests(subject& whom) {
  const auto limits = whom.model().batching().limits;
  std::vector<inference_request> requests;
  std::int64_t items = 0;
  while (requests.size() < most_together) {
    auto next = whom.make_request();
    items += items_of(next, whom.model().describe());
    if (!requests.empty() && items > limits.items)
      break;
    requests.push_back(std::move(next));
  }
  return requests;
}

/// Codes that say whose fault it is, and not that somebody was surprised.
bool is_an_answer(const error& why) {
  return why.code != status_code::internal && why.code != status_code::unknown;
}

}  // namespace

finding answers_as_it_says(subject& whom) {
  const auto worker = whom.worker();
  if (!worker)
    return failed(worker.error().message());
  for (int i = 0; i != 50; ++i) {
    const auto request = whom.make_request();
    const auto responses = run_one(**worker, request, {});
    if (!responses)
      return failed("a request like the warm-up fails: " + responses.error().message());
    if (auto fault = fault_of(*responses, request, whom.model().describe()); !fault.empty())
      return failed(std::move(fault));
  }
  return passed();
}

finding batch_equals_singles(subject& whom) {
  const auto worker = whom.worker();
  if (!worker)
    return failed(worker.error().message());
  if (!whom.how().deterministic)
    return skipped("the model draws lots");
  std::size_t largest = 0;
  for (int round = 0; round != 10; ++round) {
    const auto requests = make_requests(whom);
    largest = std::max(largest, requests.size());
    const auto together = run_all(**worker, requests, {});
    if (!together)
      return failed("a batch of " + std::to_string(requests.size()) + " fails: " + together.error().message());
    for (std::size_t i = 0; i != requests.size(); ++i) {
      const auto alone = run_one(**worker, requests[i], {});
      const auto& outcome = (*together)[i];
      if (!outcome.ended)
        return failed("a request of a batch has no last word although the run succeeded");
      if (outcome.failure.has_value() == alone.has_value())
        return failed(
            "a request fails " + std::string{outcome.failure ? "in a batch" : "alone"} + " and not " +
            (outcome.failure ? "alone: " + outcome.failure->message() : "in a batch: " + alone.error().message()));
      if (alone)
        if (const auto apart = difference(*alone, outcome.responses, whom.how().tolerance); !apart.empty())
          return failed("in a batch of " + std::to_string(requests.size()) + " " + apart);
    }
  }
  if (largest < 2)
    return skipped("the model takes one request at a time");
  return passed("batches of up to " + std::to_string(largest));
}

finding is_deterministic(subject& whom) {
  const auto worker = whom.worker();
  if (!worker)
    return failed(worker.error().message());
  if (!whom.how().deterministic)
    return skipped("the model draws lots");
  bool exact = true;
  for (int i = 0; i != 10; ++i) {
    const auto request = whom.make_request();
    const auto first = run_one(**worker, request, {});
    for (int again = 0; again != 3; ++again) {
      static_cast<void>(run_one(**worker, whom.make_request(), {}));
      const auto next = run_one(**worker, request, {});
      if (!first || !next)
        return failed("a request like the warm-up fails: " + (first ? next : first).error().message());
      if (const auto apart = difference(*first, *next, whom.how().tolerance); !apart.empty())
        return failed("asked again, " + apart);
      exact = exact && difference(*first, *next, 0).empty();
    }
  }
  return passed(exact ? "to the bit" : "within the tolerance");
}

finding instances_agree(subject& whom) {
  const auto reference = whom.worker();
  if (!reference)
    return failed(reference.error().message());
  std::vector<std::unique_ptr<instance>> workers;
  while (workers.size() < std::max<std::size_t>(1, whom.how().instances)) {
    auto made = whom.make_worker(whom.model());
    if (!made)
      return failed("instance " + std::to_string(workers.size() + 2) + ": " + made.error().message());
    workers.push_back(*std::move(made));
  }
  std::vector<inference_request> requests;
  std::vector<std::vector<inference_response>> expected_responses;
  for (int i = 0; i != 10; ++i) {
    requests.push_back(whom.make_request());
    auto alone = run_one(**reference, requests.back(), {});
    if (!alone)
      return failed("a request like the warm-up fails: " + alone.error().message());
    expected_responses.push_back(*std::move(alone));
  }
  std::vector<std::string> faults(workers.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t w = 0; w != workers.size(); ++w)
      threads.emplace_back([&, w] {
        for (std::size_t i = 0; i != 10 * requests.size() && faults[w].empty(); ++i) {
          const auto which = (i + w) % requests.size();
          const auto responses = run_one(*workers[w], requests[which], {});
          if (!responses)
            faults[w] = responses.error().message();
          else if (whom.how().deterministic)
            faults[w] = difference(expected_responses[which], *responses, whom.how().tolerance);
        }
      });
  }
  for (const auto& fault : faults)
    if (!fault.empty())
      return failed("with others at work " + fault);
  return passed(std::to_string(workers.size() + 1) + " instances");
}

finding survives_random_inputs(subject& whom) {
  std::size_t answered = 0, refused = 0, stopped = 0;
  for (std::size_t i = 0; i != whom.how().random_inputs; ++i) {
    const auto worker = whom.worker();
    if (!worker)
      return failed("after " + std::to_string(i) + " requests: " + worker.error().message());
    const auto request = whom.make_random_request();
    const cancel_scope scope{steady_clock::now() + whom.how().patience};
    const auto responses = run_one(**worker, request, scope.token());
    if (responses) {
      ++answered;
      if (auto fault = fault_of(*responses, request, whom.model().describe()); !fault.empty())
        return failed("request " + std::to_string(i) + ": " + fault);
    } else if (scope.token().cancelled()) {
      ++stopped;
    } else if (is_an_answer(responses.error()) && (*worker)->usable()) {
      ++refused;
    } else {
      return failed("request " + std::to_string(i) + " of seed " + std::to_string(whom.how().seed) +
                    " is no fault of the client's by its answer: " + responses.error().message());
    }
  }
  return passed(std::to_string(answered) + " answered, " + std::to_string(refused) + " refused, " +
                std::to_string(stopped) + " stopped");
}

}  // namespace troupe::conformance
