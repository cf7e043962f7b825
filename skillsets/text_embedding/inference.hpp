#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/execution/runtime_device.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <openvino/runtime/infer_request.hpp>
#include <string>
#include <vector>

namespace ov {
class CompiledModel;
class Core;
class Model;
}  // namespace ov

namespace troupe {

/// What a model is compiled for.
struct compile_target {
  std::string device;       ///< such as `CPU`
  bool bf16 = false;        ///< compute in bf16, else in f32
  std::size_t threads = 1;  ///< of a CPU
};

/// The devices that OpenVINO finds on this machine, with what each says of itself. INTERNAL when OpenVINO fails.
expected<std::vector<runtime_device>> openvino_devices();

/// OK, or UNAVAILABLE with the devices that there are.
expected<void> check_device(ov::Core& core, const std::string& device);

/// Compiles a model for a device that is there, to run one request at a time. UNAVAILABLE when the device
/// can't compute in the precision; INTERNAL when the compiler fails.
expected<ov::CompiledModel> compile(ov::Core& core, const std::shared_ptr<ov::Model>& model,
                                    const compile_target& target);

/// A request that can be stopped while it runs. Used by one thread at a time.
///
/// `ov::InferRequest::wait()` gives up as soon as the request is cancelled, while its thread still reads the inputs.
/// The callback comes when it has really ended, so that is what is waited for.
class cancellable_request {
 public:
  explicit cancellable_request(ov::CompiledModel& model);

  /// For setting inputs and reading outputs between runs.
  ov::InferRequest& get() noexcept { return request_; }

  /// Runs it with the inputs that are set, and blocks until it has ended. Once `token` is cancelled it ends between two
  /// nodes of the graph, `token.reason()` is returned, and `shape_memory` says what may run next. INTERNAL when
  /// OpenVINO fails.
  expected<void> run(const cancel_token& token);

 private:
  struct completion {
    std::mutex mutex;
    std::condition_variable_any changed;
    bool ended = false;
  };

  void wait(const cancel_token& token);

  std::shared_ptr<completion> completion_ = std::make_shared<completion>();
  ov::InferRequest request_;
};

}  // namespace troupe
