#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace ov {
class CompiledModel;
class Core;
class InferRequest;
class Model;
}  // namespace ov

namespace troupe {

/// What a model is compiled for.
struct compile_target {
  std::string device;          ///< such as `CPU`
  std::int64_t instances = 1;  ///< how many requests run at once, each on one thread
  bool bf16 = false;           ///< compute in bf16, else in f32
};

/// OK, or UNAVAILABLE with the devices that there are.
expected<void> check_device(ov::Core& core, const std::string& device);

/// Compiles a model for a device that is there. UNAVAILABLE when the device can't compute in the precision; INTERNAL
/// when the compiler fails.
expected<ov::CompiledModel> compile(ov::Core& core, const std::shared_ptr<ov::Model>& model,
                                    const compile_target& target);

/// Runs a request whose inputs are set, and blocks until it has ended. Once `token` is cancelled it ends between two
/// nodes of the graph, `token.reason()` is returned, and the request can be used again. INTERNAL when OpenVINO fails.
expected<void> infer(ov::InferRequest& request, const cancel_token& token);

}  // namespace troupe
