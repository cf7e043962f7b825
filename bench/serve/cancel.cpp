// bench_cancel: how soon a slot goes on when the work on it is cancelled, and whether work that is cancelled while it
// waits ever runs. One line of JSON on standard output; bench/serve/run reads it.

#include "bench/echo/client.hpp"
#include "troupe/node/v1/node.grpc.pb.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>

namespace {

using namespace troupe::bench;
using namespace std::chrono_literals;
using inference::ModelInferRequest;
using inference::ModelInferResponse;
using steady_clock = std::chrono::steady_clock;

/// Long requests that wait behind those that run.
constexpr std::size_t waiting = 4;

/// With what should happen at once.
constexpr auto patience = 30s;

struct arguments {
  std::string target, model;
  std::size_t slots;   ///< requests that the model works on at once
  std::size_t rounds;  ///< running requests to cancel
  std::size_t queued;  ///< waiting requests to cancel; the model's queue must have room for these and a few more
  std::vector<std::string> texts;
};

/// The work: what takes long and can be stopped at any time, what takes a moment, and what is done as soon as it has a
/// slot.
struct workload {
  ModelInferRequest slow, quick, nothing;
};

/// `identity`, which waits as long as it is told.
workload waits(const std::string& model) {
  workload result{make_request(), make_request(), {}};
  for (auto* request : {&result.slow, &result.quick})
    request->set_model_name(model);
  (*result.slow.mutable_parameters())["delay_ms"].set_int64_param(600'000);
  // Even 0 makes it work for a slot, not for the thread that brings it.
  (*result.quick.mutable_parameters())["delay_ms"].set_int64_param(0);
  result.nothing = result.quick;
  return result;
}

/// A model of texts: so many long ones that they take many seconds, a short one, and none.
workload computes(const std::string& model, const std::vector<std::string>& texts) {
  const auto by_size = [](const auto& a, const auto& b) { return a.size() < b.size(); };
  const auto [shortest, longest] = std::minmax_element(texts.begin(), texts.end(), by_size);
  return {make_request(model, std::vector(400, *longest)), make_request(model, std::vector{*shortest}),
          make_request(model, std::vector<std::string>{})};
}

/// A request and what becomes of it.
struct call {
  grpc::ClientContext context;
  ModelInferResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<ModelInferResponse>> reader;
  bool ended = false;

  grpc::StatusCode code() const { return status.error_code(); }
};

/// What a node has counted of a model.
struct counts {
  std::uint64_t executed, waiting, admitted, withdrawn;
};

class client {
 public:
  explicit client(const arguments& given)
      : model_(given.model),
        stub_(connect(given.target, 0)),
        node_(troupe::node::v1::Node::NewStub(grpc::CreateChannel(given.target, grpc::InsecureChannelCredentials()))) {}

  std::unique_ptr<call> begin(const ModelInferRequest& request) {
    auto c = std::make_unique<call>();
    c->context.set_deadline(std::chrono::system_clock::now() + 48h);
    c->reader = stub_->AsyncModelInfer(&c->context, request, &queue_);
    c->reader->Finish(&c->response, &c->status, c.get());
    return c;
  }

  /// Waits until `c` has ended, and notes what else does.
  void wait(const call& c) {
    for (const auto end = std::chrono::system_clock::now() + patience; !c.ended;)
      if (!note(end))
        throw std::runtime_error{"a request did not end"};
  }

  /// Notes what has ended by `until`.
  void sleep_until(std::chrono::system_clock::time_point until) {
    while (note(until)) {
    }
  }

  counts read() {
    grpc::ClientContext context, second;
    inference::ModelStatisticsRequest what;
    what.set_name(model_);
    inference::ModelStatisticsResponse statistics;
    check(stub_->ModelStatistics(&context, what, &statistics));
    troupe::node::v1::MetricsResponse metrics;
    check(node_->Metrics(&second, {}, &metrics));
    // Each request that is taken out of the queue to be executed has waited there.
    return {statistics.model_stats(0).inference_stats().queue().count(), value_of(metrics, "troupe_queue_requests"),
            value_of(metrics, "troupe_queue_admitted_total"), value_of(metrics, "troupe_queue_withdrawn_total")};
  }

  /// The same, some time after the last answer, because what was executed is counted when its answer is on its way.
  counts read_settled() {
    auto last = read();
    for (auto changed = true; changed;) {
      sleep_until(std::chrono::system_clock::now() + 300ms);
      const auto now = read();
      changed = now.executed != std::exchange(last, now).executed;
    }
    return last;
  }

  /// Waits until the node has counted so many.
  void wait_until(std::uint64_t counts::*what, std::uint64_t count) {
    for (const auto end = steady_clock::now() + patience; read().*what != count;
         sleep_until(std::chrono::system_clock::now() + 1ms))
      if (steady_clock::now() > end)
        throw std::runtime_error{"the node counts " + std::to_string(read().*what) + " requests, not " +
                                 std::to_string(count)};
  }

 private:
  bool note(std::chrono::system_clock::time_point until) {
    void* tag = nullptr;
    bool ok = false;
    if (queue_.AsyncNext(&tag, &ok, until) != grpc::CompletionQueue::GOT_EVENT)
      return false;
    auto& c = *static_cast<call*>(tag);
    c.ended = true;
    if (!c.status.ok() && c.code() != grpc::StatusCode::CANCELLED)
      throw std::runtime_error{"a request failed: " + c.status.error_message()};
    return true;
  }

  static void check(const grpc::Status& status) {
    if (!status.ok())
      throw std::runtime_error{status.error_message()};
  }

  std::uint64_t value_of(const troupe::node::v1::MetricsResponse& metrics, const std::string& name) const {
    for (const auto& family : metrics.families())
      for (const auto& metric : family.metric())
        if (family.name() == name && metric.label(0).value() == model_)
          return static_cast<std::uint64_t>(metric.has_gauge() ? metric.gauge().value() : metric.counter().value());
    throw std::runtime_error{"the node has no metric " + name};
  }

  const std::string model_;
  std::unique_ptr<stub> stub_;
  std::unique_ptr<troupe::node::v1::Node::Stub> node_;
  grpc::CompletionQueue queue_;
};

/// Requests in the order in which the queue has them: the first are those that run.
using line = std::deque<std::unique_ptr<call>>;

void expect(bool holds, const char* what) {
  if (!holds)
    throw std::runtime_error{what};
}

std::uint64_t nanoseconds_since(steady_clock::time_point then) {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds{steady_clock::now() - then}.count());
}

/// What a quick request takes where there is a slot for it: this much of the times below isn't the cancellation's.
std::vector<std::uint64_t> time_quick(client& node, const workload& work, std::size_t rounds) {
  std::vector<std::uint64_t> times;
  for (std::size_t i = 0; i != rounds; ++i) {
    const auto sent = steady_clock::now();
    const auto quick = node.begin(work.quick);
    node.wait(*quick);
    times.push_back(nanoseconds_since(sent));
    node.sleep_until(std::chrono::system_clock::now() + 5ms);
  }
  return times;
}

/// From the cancellation of one that runs until the answer of `next` has come, which is the first in the queue.
std::vector<std::uint64_t> time_next(client& node, const workload& work, ModelInferRequest next, const arguments& given,
                                     line& slow) {
  std::mt19937 random{1};
  const auto some_time = [&] {
    return std::chrono::system_clock::now() + std::chrono::microseconds{5000 + random() % 15'000};
  };
  (*next.mutable_parameters())["priority"].set_int64_param(1);
  std::vector<std::uint64_t> times;
  for (std::size_t i = 0; i != given.rounds; ++i) {
    const auto quick = node.begin(next);
    node.wait_until(&counts::waiting, waiting + 1);
    node.sleep_until(some_time());
    expect(!quick->ended, "a request that should have waited has ended");
    const auto victim = slow.begin() + static_cast<std::ptrdiff_t>(random() % given.slots);
    expect(!(*victim)->ended, "a long request ended by itself");
    const auto cancelled = steady_clock::now();
    (*victim)->context.TryCancel();
    node.wait(*quick);
    times.push_back(nanoseconds_since(cancelled));
    node.wait(**victim);
    expect((*victim)->code() == grpc::StatusCode::CANCELLED, "what was cancelled did not end so");
    slow.erase(victim);
    // Its place is taken before another one comes: else the next quick request might find it free.
    node.wait_until(&counts::waiting, waiting - 1);
    slow.push_back(node.begin(work.slow));
    node.wait_until(&counts::waiting, waiting);
  }
  return times;
}

void cancel_all(client& node, line& calls) {
  for (const auto& c : calls)
    c->context.TryCancel();
  for (const auto& c : calls) {
    node.wait(*c);
    expect(c->code() == grpc::StatusCode::CANCELLED, "what was cancelled did not end so");
  }
  calls.clear();
}

/// Quick requests behind `slow` that are cancelled while they wait; how many of them ran all the same. The end of
/// `slow`, too.
std::uint64_t count_ran(client& node, const workload& work, const arguments& given, line& slow) {
  node.wait_until(&counts::waiting, waiting);
  const auto before = node.read_settled();
  line queued;
  for (std::size_t i = 0; i != given.queued; ++i)
    queued.push_back(node.begin(work.quick));
  node.wait_until(&counts::waiting, waiting + given.queued);
  cancel_all(node, queued);
  node.wait_until(&counts::waiting, waiting);
  // Those that run are counted when they have ended; those behind them must go first, or they would begin.
  line behind;
  for (; slow.size() > given.slots; slow.pop_back())
    behind.push_back(std::move(slow.back()));
  cancel_all(node, behind);
  node.wait_until(&counts::waiting, 0);
  cancel_all(node, slow);
  // The slots are free, when as many are answered.
  for (std::size_t i = 0; i != given.slots; ++i)
    queued.push_back(node.begin(work.quick));
  for (const auto& c : queued)
    node.wait(*c);
  const auto after = node.read_settled();
  expect(after.withdrawn - before.withdrawn == given.queued + waiting, "not all were withdrawn from the queue");
  return after.executed - before.executed - 2 * given.slots;
}

int measure(const arguments& given) {
  const auto work = given.texts.empty() ? waits(given.model) : computes(given.model, given.texts);
  client node{given};
  auto idle = time_quick(node, work, std::min<std::size_t>(given.rounds, 100));
  line slow;
  const auto before = node.read().admitted;
  // One after the other: those that are sent at once may arrive in another order.
  for (std::size_t i = 0; i != given.slots + waiting; ++i) {
    slow.push_back(node.begin(work.slow));
    node.wait_until(&counts::admitted, before + i + 1);
  }
  node.wait_until(&counts::waiting, waiting);
  auto slot = time_next(node, work, work.nothing, given, slow);
  auto next = time_next(node, work, work.quick, given, slow);
  const auto ran = count_ran(node, work, given, slow);
  std::printf(
      "{\"cancelled\":%zu,\"slot_p50_us\":%.1f,\"slot_p99_us\":%.1f,\"slot_max_us\":%.1f,\"next_p50_us\":%.1f,"
      "\"next_p99_us\":%.1f,\"next_max_us\":%.1f,\"idle_p50_us\":%.1f,\"idle_p99_us\":%.1f,\"queued\":%zu,"
      "\"queued_ran\":%llu}\n",
      slot.size() + next.size(), percentile(slot, 0.50), percentile(slot, 0.99), percentile(slot, 1.0),
      percentile(next, 0.50), percentile(next, 0.99), percentile(next, 1.0), percentile(idle, 0.50),
      percentile(idle, 0.99), given.queued, static_cast<unsigned long long>(ran));
  return 0;
}

std::vector<std::string> read_lines(const char* file) {
  std::vector<std::string> lines;
  std::ifstream in{file};
  for (std::string text; std::getline(in, text);)
    lines.push_back(text);
  expect(!lines.empty(), "no texts");
  return lines;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6 && argc != 7) {
    std::fputs("usage: bench_cancel ADDRESS MODEL SLOTS RUNNING QUEUED [TEXTS]\n", stderr);
    return 2;
  }
  const auto number = [&](int i) { return static_cast<std::size_t>(std::max(1, std::atoi(argv[i]))); };
  try {
    return measure({argv[1], argv[2], number(3), number(4), number(5),
                    argc == 7 ? read_lines(argv[6]) : std::vector<std::string>{}});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_cancel: %s\n", e.what());
    return 1;
  }
}
