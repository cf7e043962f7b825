#include "skillsets/text_embedding/inference.hpp"

#include "skillsets/text_embedding/encoder_file.hpp"

#include <algorithm>
#include <openvino/core/version.hpp>
#include <openvino/runtime/compiled_model.hpp>
#include <openvino/runtime/core.hpp>
#include <openvino/runtime/exception.hpp>
#include <openvino/runtime/properties.hpp>

namespace troupe {
namespace {

ov::AnyMap properties_for(const compile_target& target) {
  ov::AnyMap properties{ov::num_streams(1),
                        ov::hint::inference_precision(target.bf16 ? ov::element::bf16 : ov::element::f32)};
  if (target.device.starts_with("CPU")) {
    properties.insert(ov::inference_num_threads(static_cast<std::int32_t>(target.threads)));
    properties.insert(ov::hint::enable_cpu_pinning(false));
  }
  return properties;
}

/// `2025.1.0` of `2025.1.0-18503-6fec06580ab-releases/2025/1`.
std::string openvino_version() {
  const std::string build = ov::get_openvino_version().buildNumber;
  return build.substr(0, build.find('-'));
}

/// What a device says of itself; nothing where its plug-in doesn't, as a broken driver's may not.
template <class Property>
typename Property::value_type ask(const ov::Core& core, const std::string& device, const Property& property) try {
  return core.get_property(device, property);
} catch (const std::exception&) {
  return {};
}

}  // namespace

expected<std::vector<runtime_device>> openvino_devices() try {
  const ov::Core core;
  std::vector<runtime_device> result;
  for (const auto& name : core.get_available_devices())
    result.push_back({"OpenVINO", openvino_version(), name, ask(core, name, ov::device::full_name),
                      ask(core, name, ov::device::capabilities)});
  return result;
} catch (const std::exception& e) {
  return make_error(status_code::internal, "OpenVINO can't tell its devices: " + one_line(e));
}

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

cancellable_request::cancellable_request(ov::CompiledModel& model) : request_(model.create_infer_request()) {
  request_.set_callback([state = completion_](const std::exception_ptr&) {
    const std::lock_guard lock{state->mutex};
    state->ended = true;
    state->changed.notify_all();
  });
}

expected<void> cancellable_request::run(const cancel_token& token) try {
  completion_->ended = false;
  request_.start_async();
  wait(token);
  request_.wait();  // for what OpenVINO still does after the callback, and for its exception
  return {};
} catch (const ov::Cancelled&) {
  return token.reason();
} catch (const std::exception& e) {
  return make_error(status_code::internal, "OpenVINO can't run the model: " + one_line(e));
}

/// Blocks until the callback came, and cancels the request when `token` says so.
void cancellable_request::wait(const cancel_token& token) {
  const auto ended = [this] { return completion_->ended; };
  std::unique_lock lock{completion_->mutex};
  // Not wait_until for ever: libstdc++ overflows when it converts such a time.
  const auto in_time = token.deadline() == no_deadline
                           ? completion_->changed.wait(lock, token.stop(), ended)
                           : completion_->changed.wait_until(lock, token.stop(), token.deadline(), ended);
  if (in_time)
    return;
  lock.unlock();
  request_.cancel();
  lock.lock();
  completion_->changed.wait(lock, ended);
}

}  // namespace troupe
