#include "bench/echo/load.hpp"

#include "bench/echo/client.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

namespace troupe::bench {

namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;
using steady_clock = std::chrono::steady_clock;

enum class phase { warm_up, window, end };

/// Nothing when `response` is the echo of `request`, else what is wrong with it; without a name, any one output will
/// do.
std::string mismatch(const ModelInferRequest& request, const ModelInferResponse& response, const std::string& name) {
  if (response.outputs_size() != 1 || response.raw_output_contents_size() != 1) {
    return "not one output: " + response.ShortDebugString();
  }
  const auto& input = request.inputs(0);
  const auto& output = response.outputs(0);
  if (name.empty()) {
    return "";
  }
  if (output.name() != name || output.datatype() != input.datatype() ||
      !std::equal(output.shape().begin(), output.shape().end(), input.shape().begin(), input.shape().end())) {
    return "another tensor: " + output.ShortDebugString();
  }
  return response.raw_output_contents(0) == request.raw_input_contents(0) ? "" : "other bytes";
}

/// One request in flight; used again and again.
struct call {
  std::optional<grpc::ClientContext> context;
  ModelInferResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<ModelInferResponse>> reader;
  steady_clock::time_point sent;
};

/// A connection of its own, and the one thread that sends and receives on it.
class connection {
 public:
  connection(const load_options& options, int number, int in_flight, const std::atomic<phase>& now)
      : output_(options.texts.empty() ? options.output : ""),
        now_(now),
        requests_(make_requests(options.model, options.texts)),
        next_(static_cast<std::size_t>(number) * 7919),
        stub_(connect(options.target, number)),
        calls_(in_flight) {
    latencies_.reserve(1 << 16);
  }

  void start() {
    thread_ = std::thread{[this] { run(); }};
  }

  /// Waits for the last answer.
  void join() { thread_.join(); }

  std::uint64_t done() const noexcept { return done_.load(std::memory_order_relaxed); }
  const std::vector<std::uint64_t>& latencies() const noexcept { return latencies_; }
  std::uint64_t failures() const noexcept { return failures_; }
  const std::string& first_failure() const noexcept { return first_failure_; }

 private:
  void send(call& c) {
    c.context.emplace();
    c.context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    c.sent = steady_clock::now();
    c.reader = stub_->AsyncModelInfer(&*c.context, requests_[next_++ % requests_.size()], &queue_);
    c.reader->Finish(&c.response, &c.status, &c);
  }

  void receive(const call& c, phase now) {
    const auto took = steady_clock::now() - c.sent;
    if (now == phase::window) {
      latencies_.push_back(static_cast<std::uint64_t>(std::chrono::nanoseconds{took}.count()));
    }
    done_.store(done() + 1, std::memory_order_relaxed);
    const auto wrong = c.status.ok() ? mismatch(requests_.front(), c.response, output_)
                                     : std::to_string(c.status.error_code()) + ": " + c.status.error_message();
    if (!wrong.empty() && failures_++ == 0) {
      first_failure_ = wrong;
    }
  }

  void run() {
    for (auto& c : calls_) {
      send(c);
    }
    auto open = calls_.size();
    void* tag = nullptr;
    for (bool ok; open > 0 && queue_.Next(&tag, &ok);) {
      auto& c = *static_cast<call*>(tag);
      const auto now = now_.load(std::memory_order_relaxed);
      receive(c, now);
      // A server that fails everything would be asked in a tight loop.
      if (now == phase::end || failures_ > 100) {
        --open;
      } else {
        send(c);
      }
    }
  }

  const std::string output_;
  const std::atomic<phase>& now_;
  const std::vector<ModelInferRequest> requests_;
  std::size_t next_;
  std::unique_ptr<stub> stub_;
  grpc::CompletionQueue queue_;
  std::vector<call> calls_;
  std::vector<std::uint64_t> latencies_;
  std::atomic<std::uint64_t> done_{0};
  std::uint64_t failures_ = 0;
  std::string first_failure_;
  std::thread thread_;
};

using connections = std::vector<std::unique_ptr<connection>>;

connections connect_all(const load_options& options, const std::atomic<phase>& now) {
  const auto count = std::min(options.connections, options.concurrency);
  connections result;
  for (int i = 0; i < count; ++i) {
    const auto in_flight = options.concurrency / count + (i < options.concurrency % count ? 1 : 0);
    result.push_back(std::make_unique<connection>(options, i, in_flight, now));
  }
  return result;
}

std::uint64_t total_done(const connections& all) {
  std::uint64_t result = 0;
  for (const auto& c : all) {
    result += c->done();
  }
  return result;
}

void gather(const connections& all, load_result& result) {
  std::vector<std::uint64_t> latencies;
  for (const auto& c : all) {
    latencies.insert(latencies.end(), c->latencies().begin(), c->latencies().end());
    result.failures += c->failures();
    if (result.first_failure.empty()) {
      result.first_failure = c->first_failure();
    }
  }
  result.p50 = percentile(latencies, 0.50);
  result.p99 = percentile(latencies, 0.99);
}

}  // namespace

load_result run_load(const load_options& options) {
  std::atomic<phase> now{phase::warm_up};
  const auto all = connect_all(options, now);
  for (const auto& c : all) {
    c->start();
  }
  std::this_thread::sleep_for(options.warm_up);
  now = phase::window;
  const auto begin = steady_clock::now();
  const auto done = total_done(all);
  const auto cpu = cpu_seconds(options.server);
  std::this_thread::sleep_for(options.window);
  load_result result;
  const auto spent = cpu_seconds(options.server) - cpu;
  result.requests = total_done(all) - done;
  result.seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
  now = phase::end;
  for (const auto& c : all) {
    c->join();
  }
  result.cpu_per_request = result.requests == 0 ? 0 : spent * 1e6 / static_cast<double>(result.requests);
  gather(all, result);
  return result;
}

}  // namespace troupe::bench
