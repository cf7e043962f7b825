#include "bench/echo/open_loop.hpp"

#include "bench/echo/client.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <random>
#include <thread>

#include <grpcpp/grpcpp.h>

namespace troupe::bench {

namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;
using steady_clock = std::chrono::steady_clock;
using time_point = steady_clock::time_point;

constexpr double slice_seconds = 0.1;

steady_clock::duration seconds(double count) {
  return std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>{count});
}

/// One request. Kept until all are over, because it may end before the thread that sent it is done with sending.
struct call {
  std::size_t phase = 0;
  time_point due;
  time_point sent;
  time_point ended;
  std::optional<grpc::ClientContext> context;
  ModelInferResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<ModelInferResponse>> reader;
};

using calls = std::vector<std::unique_ptr<call>>;

/// When each request is due.
calls schedule(const open_options& options, time_point begin) {
  std::mt19937_64 random{options.seed};
  calls result;
  double at = 0;
  double end = 0;
  for (std::size_t phase = 0; phase != options.phases.size(); ++phase) {
    const auto rate = options.phases[phase].rate;
    std::exponential_distribution<double> interval{rate};
    at = end;
    end += options.phases[phase].seconds;
    while (rate > 0 && (at += options.poisson ? interval(random) : 1 / rate) < end) {
      result.push_back(std::make_unique<call>());
      result.back()->phase = phase;
      result.back()->due = begin + seconds(at);
    }
  }
  return result;
}

/// A connection, the thread that sends on it and the one that receives.
class connection {
 public:
  connection(const open_options& options, int number)
      : requests_(make_requests(options.model, options.texts)),
        next_(static_cast<std::size_t>(number) * 7919),
        stub_(connect(options.target, number)) {}

  void add(call& c) { calls_.push_back(&c); }

  void start() {
    sender_ = std::jthread{[this] { send_all(); }};
    receiver_ = std::jthread{[this] { receive_all(); }};
  }

  /// Waits for the last answer.
  void join() {
    sender_.join();
    receiver_.join();
  }

 private:
  void send_all() {
    prctl(PR_SET_TIMERSLACK, 1000);  // else a sleep ends 50 µs late
    for (auto* c : calls_) {
      std::this_thread::sleep_until(c->due);
      c->context.emplace();
      c->context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
      c->sent = steady_clock::now();
      c->reader = stub_->AsyncModelInfer(&*c->context, requests_[next_++ % requests_.size()], &queue_);
      c->reader->Finish(&c->response, &c->status, c);
    }
  }

  void receive_all() {
    void* tag = nullptr;
    bool ok = false;
    for (auto left = calls_.size(); left > 0 && queue_.Next(&tag, &ok); --left) {
      static_cast<call*>(tag)->ended = steady_clock::now();
    }
  }

  const std::vector<ModelInferRequest> requests_;
  std::size_t next_;
  std::unique_ptr<stub> stub_;
  grpc::CompletionQueue queue_;
  std::vector<call*> calls_;
  std::jthread sender_;
  std::jthread receiver_;
};

std::uint64_t nanoseconds(steady_clock::duration time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(std::chrono::nanoseconds{time}.count(), 0));
}

/// Puts together what became of the calls of one phase.
class tally {
 public:
  tally(const open_phase& phase, time_point begin)
      : begin_(begin), times_(static_cast<std::size_t>(std::ceil(phase.seconds / slice_seconds - 1e-9))) {
    result_.phase = phase;
    result_.slices.resize(times_.size());
  }

  void add(const call& c) {
    ++result_.sent;
    late_.push_back(nanoseconds(c.sent - c.due));
    const auto took = nanoseconds(c.ended - c.due);
    const auto number = static_cast<std::size_t>((c.due - begin_) / seconds(slice_seconds));
    const auto slice = std::min(number, times_.size() - 1);
    if (c.status.ok()) {
      answered_.push_back(took);
      times_[slice].push_back(took);
    } else if (c.status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
      refused_.push_back(took);
      ++result_.slices[slice].refused;
    } else {
      failed_.push_back(took);
      if (failed_.size() == 1) {
        result_.first_failure = std::to_string(c.status.error_code()) + ": " + c.status.error_message();
      }
    }
  }

  /// An answer came while the phase lasted.
  void add_good() { ++result_.good; }

  open_result finish(double cpu) {
    result_.answered = outcome(answered_);
    result_.refused = outcome(refused_);
    result_.failed = outcome(failed_);
    result_.late_p99 = percentile(late_, 0.99);
    result_.cpu = cpu;
    for (std::size_t i = 0; i != times_.size(); ++i) {
      result_.slices[i].answered = times_[i].size();
      result_.slices[i].p50 = percentile(times_[i], 0.50);
    }
    return std::move(result_);
  }

 private:
  static open_outcome outcome(std::vector<std::uint64_t>& times) {
    return {times.size(), percentile(times, 0.50), percentile(times, 0.90), percentile(times, 0.99)};
  }

  const time_point begin_;
  std::vector<std::vector<std::uint64_t>> times_;
  std::vector<std::uint64_t> answered_;
  std::vector<std::uint64_t> refused_;
  std::vector<std::uint64_t> failed_;
  std::vector<std::uint64_t> late_;
  open_result result_;
};

/// When each phase begins, and when the last one is over.
std::vector<time_point> boundaries(const open_options& options, time_point begin) {
  std::vector<time_point> result{begin};
  for (const auto& phase : options.phases) {
    result.push_back(result.back() + seconds(phase.seconds));
  }
  return result;
}

std::vector<open_result> evaluate(const open_options& options, const calls& all, const std::vector<time_point>& bounds,
                                  const std::vector<double>& cpu) {
  std::vector<tally> tallies;
  for (std::size_t i = 0; i != options.phases.size(); ++i) {
    tallies.emplace_back(options.phases[i], bounds[i]);
  }
  for (const auto& c : all) {
    tallies[c->phase].add(*c);
    const auto after = std::upper_bound(bounds.begin(), bounds.end(), c->ended);
    if (c->status.ok() && after != bounds.begin() && after != bounds.end()) {
      tallies[static_cast<std::size_t>(after - bounds.begin()) - 1].add_good();
    }
  }
  std::vector<open_result> results;
  for (std::size_t i = 0; i != tallies.size(); ++i) {
    results.push_back(tallies[i].finish(cpu[i + 1] - cpu[i]));
  }
  return results;
}

}  // namespace

std::vector<open_result> run_open_loop(const open_options& options) {
  // Whatever is to be connected and allocated is by then.
  const auto begin = steady_clock::now() + std::chrono::milliseconds{300};
  const auto all = schedule(options, begin);
  const auto bounds = boundaries(options, begin);
  std::vector<std::unique_ptr<connection>> connections;
  for (int i = 0; i < options.connections; ++i) {
    connections.push_back(std::make_unique<connection>(options, i));
  }
  for (std::size_t i = 0; i != all.size(); ++i) {
    connections[i % connections.size()]->add(*all[i]);
  }
  for (const auto& c : connections) {
    c->start();
  }
  std::vector<double> cpu;
  for (const auto bound : bounds) {
    std::this_thread::sleep_until(bound);
    cpu.push_back(cpu_seconds(options.server));
  }
  for (const auto& c : connections) {
    c->join();
  }
  return evaluate(options, all, bounds, cpu);
}

}  // namespace troupe::bench
