#include "skillsets/text_embedding/inference.hpp"

#include "skillsets/text_embedding/encoder_file.hpp"

#include <algorithm>
#include <chrono>
#include <openvino/runtime/compiled_model.hpp>
#include <openvino/runtime/core.hpp>
#include <openvino/runtime/exception.hpp>
#include <openvino/runtime/infer_request.hpp>
#include <openvino/runtime/properties.hpp>

namespace troupe {
namespace {

using namespace std::chrono_literals;

ov::AnyMap properties_for(const compile_target& target) {
  const auto streams = static_cast<std::int32_t>(std::clamp<std::int64_t>(target.instances, 1, INT32_MAX));
  ov::AnyMap properties{ov::num_streams(streams),
                        ov::hint::inference_precision(target.bf16 ? ov::element::bf16 : ov::element::f32)};
  if (target.device.starts_with("CPU")) {
    // The number counts the threads of all streams together.
    properties.insert(ov::inference_num_threads(streams));
    properties.insert(ov::hint::enable_cpu_pinning(false));
  }
  return properties;
}

/// Blocks until the request has ended or the deadline has passed; says which.
bool wait_until(ov::InferRequest& request, steady_clock::time_point deadline) {
  if (deadline == no_deadline) {
    request.wait();
    return true;
  }
  for (auto now = steady_clock::now(); now < deadline; now = steady_clock::now()) {
    const auto rest = std::min<steady_clock::duration>(deadline - now, 1h);
    if (request.wait_for(std::chrono::ceil<std::chrono::milliseconds>(rest)))
      return true;
  }
  return false;
}

}  // namespace

expected<void> check_device(ov::Core& core, const std::string& device) {
  const auto available = core.get_available_devices();
  std::string list;
  for (const auto& name : available) {
    // `GPU` stands for the first of `GPU.0`, `GPU.1`, …
    if (!device.empty() && (name == device || name.starts_with(device + ".")))
      return {};
    list += (list.empty() ? "" : ", ") + name;
  }
  return make_error(status_code::unavailable, "there is no device '" + device + "'",
                    "use one that OpenVINO finds on this machine: " + (list.empty() ? "none" : list));
}

expected<ov::CompiledModel> compile(ov::Core& core, const std::shared_ptr<ov::Model>& model,
                                    const compile_target& target) try {
  auto compiled = core.compile_model(model, target.device, properties_for(target));
  const auto precision = compiled.get_property(ov::hint::inference_precision);
  if (precision != (target.bf16 ? ov::element::bf16 : ov::element::f32))
    return make_error(status_code::unavailable,
                      "device '" + target.device + "' computes in " + precision.get_type_name() + " only",
                      "set the option precision to it");
  return compiled;
} catch (const std::exception& e) {
  return make_error(status_code::internal, "OpenVINO can't compile the model: " + one_line(e));
}

expected<void> infer(ov::InferRequest& request, const cancel_token& token) try {
  request.start_async();
  // After the start: what doesn't run yet can't be cancelled, and would run to its end.
  const std::stop_callback on_stop{token.stop(), [&request] {
                                     try {
                                       request.cancel();
                                     } catch (const std::exception&) {
                                       // Then it runs to its end, which is waited for all the same.
                                     }
                                   }};
  if (!wait_until(request, token.deadline()))
    request.cancel();
  request.wait();
  return {};
} catch (const ov::Cancelled&) {
  return token.reason();
} catch (const std::exception& e) {
  return make_error(status_code::internal, "OpenVINO can't run the model: " + one_line(e));
}

}  // namespace troupe
