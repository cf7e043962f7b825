#include "apps/troupe/closed_loop.hpp"

#include "inference/grpc_service.grpc.pb.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

namespace troupe::cli {
namespace {

namespace wire = inference;

std::unique_ptr<wire::GRPCInferenceService::Stub> connect(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return wire::GRPCInferenceService::NewStub(
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
}

class closed_loop {
 public:
  explicit closed_loop(const loop_options& options) : options_(options) {
    for (int i = 0; i != std::min(2, options.in_flight); ++i)
      stubs_.push_back(connect(options.target));
  }

  expected<loop_result> run(const cancel_token& token) {
    std::vector<call> calls(static_cast<std::size_t>(options_.in_flight));
    running_ = calls.size();
    for (std::size_t i = 0; i != calls.size(); ++i) {
      calls[i].stub = stubs_[i % stubs_.size()].get();
      start(calls[i]);
    }
    wait(options_.warm_up, token);
    const auto began = begin_window();
    wait(options_.window, token);
    return end(began, calls, token);
  }

 private:
  struct call {
    wire::GRPCInferenceService::Stub* stub = nullptr;
    std::unique_ptr<grpc::ClientContext> context;
    wire::ModelInferResponse response;
    steady_clock::time_point began;
  };

  void start(call& one) {
    one.context = std::make_unique<grpc::ClientContext>();
    one.began = steady_clock::now();
    one.stub->async()->ModelInfer(one.context.get(), &options_.request, &one.response,
                                  [this, &one](const grpc::Status& status) { done(one, status); });
  }

  void done(call& one, const grpc::Status& status) {
    {
      const std::lock_guard lock{mutex_};
      all_ += status.ok() ? 1 : 0;
      if (status.ok())
        latencies_.push_back(std::chrono::duration<double, std::milli>{steady_clock::now() - one.began}.count());
      else if (!failure_ && !stopping_)
        failure_ = make_error(static_cast<status_code>(status.error_code()), status.error_message());
      stopping_ |= failure_.has_value();
      if (stopping_) {
        --running_;
        changed_.notify_all();
        return;
      }
    }
    start(one);
  }

  void wait(std::chrono::milliseconds time, const cancel_token& token) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, token.stop(), time, [this] { return stopping_; });
  }

  steady_clock::time_point begin_window() {
    const std::lock_guard lock{mutex_};
    latencies_.clear();
    return steady_clock::now();
  }

  expected<loop_result> end(steady_clock::time_point began, std::vector<call>& calls, const cancel_token& token) {
    std::unique_lock lock{mutex_};
    stopping_ = true;
    auto latencies = std::move(latencies_);
    const std::chrono::duration<double> took = steady_clock::now() - began;
    if (token.cancelled())
      for (auto& one : calls)
        one.context->TryCancel();
    changed_.wait(lock, [this] { return running_ == 0; });
    if (token.cancelled())
      return token.reason();
    if (failure_)
      return *failure_;
    if (latencies.empty())
      return make_error(status_code::deadline_exceeded, "no request was answered within the window",
                        "give it more with --seconds");
    std::sort(latencies.begin(), latencies.end());
    const auto at = [&](double part) {
      return latencies[static_cast<std::size_t>(part * static_cast<double>(latencies.size() - 1))];
    };
    return loop_result{latencies.size(), took.count(), at(0.5), at(0.99), all_};
  }

  const loop_options& options_;
  std::vector<std::unique_ptr<wire::GRPCInferenceService::Stub>> stubs_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<double> latencies_;
  std::uint64_t all_ = 0;
  std::optional<error> failure_;
  std::size_t running_ = 0;
  bool stopping_ = false;
};

}  // namespace

expected<loop_result> run_closed_loop(const loop_options& options, const cancel_token& token) {
  return closed_loop{options}.run(token);
}

}  // namespace troupe::cli
