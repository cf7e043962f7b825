#include "skillsets/sdk/host/messages.hpp"

#include <utf8cpp/utf8.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace troupe::host {
namespace {

template <class Map>
void write(const parameter_map& parameters, Map& to) {
  for (const auto& [name, value] : parameters)
    to_wire(value, to[name]);
}

template <class Map>
expected<parameter_map> parameters_from_wire(const Map& from) {
  parameter_map result;
  for (const auto& [name, value] : from) {
    auto one = from_wire(value);
    if (!one)
      return one.error();
    result.emplace(name, *std::move(one));
  }
  return result;
}

expected<datatype> type_from_wire(const std::string& name) {
  if (name == to_string(datatype::any))
    return datatype::any;
  if (const auto type = parse_datatype(name))
    return *type;
  return make_error(status_code::invalid_argument, "there is no datatype '" + name + "'");
}

void write(const tensor_spec& spec, wire::TensorSpec& to) {
  to.set_name(spec.name);
  to.set_datatype(std::string{to_string(spec.type)});
  to.mutable_shape()->Add(spec.shape.begin(), spec.shape.end());
  to.set_any_rank(spec.any_rank);
}

expected<tensor_spec> read(const wire::TensorSpec& from) {
  const auto type = type_from_wire(from.datatype());
  if (!type)
    return type.error();
  return tensor_spec{from.name(), *type, {from.shape().begin(), from.shape().end()}, from.any_rank()};
}

void write(const tensor& from, wire::Tensor& to, attachments* files) {
  to.set_name(from.name);
  to.set_datatype(std::string{to_string(from.type)});
  to.mutable_shape()->Add(from.shape.begin(), from.shape.end());
  if (files && from.data.size() >= attachments::worthwhile)
    if (const auto number = files->add(from.data.bytes())) {
      to.set_attachment(*number);
      to.set_attached_bytes(from.data.size());
      return;
    }
  to.set_data(from.data.bytes().data(), from.data.size());
}

expected<tensor> read(const wire::Tensor& from, const std::shared_ptr<const void>& owner, const attachments& files) {
  const auto type = type_from_wire(from.datatype());
  if (!type)
    return type.error();
  auto data = from.has_attachment()
                  ? files.view(from.attachment(), from.attached_bytes())
                  : expected{buffer{std::as_bytes(std::span{from.data().data(), from.data().size()}), owner}};
  if (!data)
    return data.error();
  return tensor{from.name(), *type, {from.shape().begin(), from.shape().end()}, *std::move(data)};
}

template <class From>
expected<std::vector<tensor>> tensors_from_wire(const From& from, const std::shared_ptr<const void>& owner,
                                                const attachments& files) {
  std::vector<tensor> result;
  for (const auto& each : from) {
    auto one = read(each, owner, files);
    if (!one)
      return one.error();
    result.push_back(*std::move(one));
  }
  return result;
}

template <class From>
expected<std::vector<tensor_spec>> specs_from_wire(const From& from) {
  std::vector<tensor_spec> result;
  for (const auto& each : from) {
    auto one = read(each);
    if (!one)
      return one.error();
    result.push_back(*std::move(one));
  }
  return result;
}

struct set_parameter {
  wire::Parameter& to;

  void operator()(bool value) const { to.set_bool_value(value); }
  void operator()(std::int64_t value) const { to.set_int64_value(value); }
  void operator()(std::uint64_t value) const { to.set_uint64_value(value); }
  void operator()(double value) const { to.set_double_value(value); }
  void operator()(const std::string& value) const { to.set_string_value(value); }
};

/// What is no UTF-8 is no message to the other side.
expected<void> check_texts(const inference_response& response) {
  const auto wrong = [](const std::string& what) {
    return make_error(status_code::internal,
                      "the skillset gave " + utf8::replace_invalid(what) + ", which is no UTF-8");
  };
  for (const auto& output : response.outputs)
    if (!utf8::is_valid(output.name))
      return wrong("an output called '" + output.name + "'");
  for (const auto& [name, value] : response.parameters)
    if (const auto* text = std::get_if<std::string>(&value); !utf8::is_valid(name) || (text && !utf8::is_valid(*text)))
      return wrong("a parameter '" + name + "'" + (text ? " of '" + *text + "'" : ""));
  return {};
}

std::int64_t or_unbounded(std::int64_t value) {
  return value > 0 ? value : std::numeric_limits<std::int64_t>::max();
}

}  // namespace

void to_wire(const parameter& value, wire::Parameter& to) {
  std::visit(set_parameter{to}, value);
}

expected<parameter> from_wire(const wire::Parameter& from) {
  switch (from.value_case()) {
    case wire::Parameter::kBoolValue:
      return parameter{from.bool_value()};
    case wire::Parameter::kInt64Value:
      return parameter{std::int64_t{from.int64_value()}};
    case wire::Parameter::kUint64Value:
      return parameter{std::uint64_t{from.uint64_value()}};
    case wire::Parameter::kDoubleValue:
      return parameter{from.double_value()};
    case wire::Parameter::kStringValue:
      return parameter{from.string_value()};
    case wire::Parameter::VALUE_NOT_SET:
      break;
  }
  return make_error(status_code::invalid_argument, "a parameter has no value");
}

void to_wire(const error& why, wire::Failure& to) {
  to.set_code(static_cast<std::uint32_t>(why.code));
  // It may quote whatever a client sent, and what is no UTF-8 is no message to the other side.
  to.set_cause(utf8::replace_invalid(why.cause));
  to.set_remedy(utf8::replace_invalid(why.remedy));
}

error from_wire(const wire::Failure& from) {
  const bool known = from.code() > 0 && from.code() <= static_cast<std::uint32_t>(status_code::unauthenticated);
  return make_error(known ? static_cast<status_code>(from.code()) : status_code::unknown, from.cause(), from.remedy());
}

void to_wire(const option_spec& option, wire::Option& to) {
  to.set_name(option.name);
  to_wire(option.fallback, *to.mutable_fallback());
  for (const auto& choice : option.choices)
    to.add_choices(choice);
  to.set_least(option.least);
  to.set_most(option.most);
}

expected<option_spec> from_wire(const wire::Option& from) {
  auto fallback = from_wire(from.fallback());
  if (!fallback)
    return fallback.error();
  return option_spec{
      from.name(), *std::move(fallback), {from.choices().begin(), from.choices().end()}, from.least(), from.most()};
}

void to_wire(const runtime_device& device, wire::Device& to) {
  to.set_name(device.name);
  to.set_full_name(device.full_name);
  to.set_runtime(device.runtime);
  to.set_version(device.version);
  for (const auto& capability : device.capabilities)
    to.add_capabilities(capability);
}

runtime_device from_wire(const wire::Device& from) {
  return {.runtime = from.runtime(),
          .version = from.version(),
          .name = from.name(),
          .full_name = from.full_name(),
          .capabilities = {from.capabilities().begin(), from.capabilities().end()}};
}

void to_wire(const model_settings& settings, wire::Load& to) {
  to.set_name(settings.name);
  to.set_folder(settings.folder.string());
  for (const auto& [role, path] : settings.files)
    (*to.mutable_files())[role] = path.string();
  write(settings.options, *to.mutable_options());
  to.set_device(settings.device);
  to.set_instances(settings.instances);
  to.set_threads(settings.threads);
}

expected<model_settings> from_wire(const wire::Load& from) {
  model_settings settings;
  settings.name = from.name();
  settings.folder = from.folder();
  for (const auto& [role, path] : from.files())
    settings.files.emplace(role, path);
  auto options = parameters_from_wire(from.options());
  if (!options)
    return options.error();
  settings.options = *std::move(options);
  settings.device = from.device();
  settings.instances = from.instances();
  settings.threads = std::max<std::size_t>(1, from.threads());
  return settings;
}

void to_wire(const signature& what, wire::Signature& to) {
  for (const auto& spec : what.inputs)
    write(spec, *to.add_inputs());
  for (const auto& spec : what.outputs)
    write(spec, *to.add_outputs());
  to.set_batches(what.batches);
  to.set_decoupled(what.decoupled);
  to.set_stateful(what.stateful);
}

expected<signature> from_wire(const wire::Signature& from) {
  auto inputs = specs_from_wire(from.inputs()), outputs = specs_from_wire(from.outputs());
  if (!inputs || !outputs)
    return inputs ? outputs.error() : inputs.error();
  return signature{*std::move(inputs), *std::move(outputs), from.batches(), from.decoupled(), from.stateful()};
}

void to_wire(const batch_policy& policy, wire::Loaded& to) {
  auto& limits = *to.mutable_limits();
  limits.set_items(policy.limits.items);
  limits.set_units(policy.limits.units);
  limits.set_run_units(policy.limits.run_units);
  limits.set_padding_part(policy.limits.padding_part);
  if (const auto* cost = policy.cost.target<linear_cost>()) {
    to.mutable_cost()->set_fixed(cost->fixed);
    to.mutable_cost()->set_bytes_per_unit(cost->bytes_per_unit);
    to.mutable_cost()->set_most(cost->most);
  }
}

batch_policy batching_of(const wire::Loaded& from) {
  batch_policy policy;
  const auto& limits = from.limits();
  policy.limits.items = std::max<std::int64_t>(1, limits.items());
  policy.limits.units = or_unbounded(limits.units());
  policy.limits.run_units = std::max<std::int64_t>(0, limits.run_units());
  if (limits.padding_part() > 0)
    policy.limits.padding_part = limits.padding_part();
  if (from.has_cost())
    policy.cost =
        linear_cost{std::max<std::int64_t>(0, from.cost().fixed()),
                    std::max<std::int64_t>(1, from.cost().bytes_per_unit()), or_unbounded(from.cost().most())};
  return policy;
}

void to_wire(const std::vector<metric_spec>& metrics, wire::Loaded& to) {
  for (const auto& metric : metrics) {
    auto& written = *to.add_metrics();
    written.set_name(metric.name);
    written.set_help(metric.help);
    written.set_gauge(metric.is == metric_spec::kind::gauge);
  }
}

std::vector<metric_spec> metrics_of(const wire::Loaded& from) {
  std::vector<metric_spec> metrics;
  for (const auto& each : from.metrics())
    metrics.push_back({each.name(), each.help(), each.gauge() ? metric_spec::kind::gauge : metric_spec::kind::counter});
  return metrics;
}

void to_wire(const inference_request& request, wire::Request& to, attachments* files) {
  for (const auto& input : request.inputs)
    write(input, *to.add_inputs(), files);
  write(request.parameters, *to.mutable_parameters());
  to.set_priority(request.priority);
}

expected<inference_request> from_wire(const wire::Request& from, const std::shared_ptr<const void>& owner,
                                      const attachments& files) {
  auto inputs = tensors_from_wire(from.inputs(), owner, files);
  if (!inputs)
    return inputs.error();
  auto parameters = parameters_from_wire(from.parameters());
  if (!parameters)
    return parameters.error();
  return inference_request{*std::move(inputs), *std::move(parameters), std::nullopt, from.priority()};
}

expected<void> to_wire(const inference_response& response, wire::Response& to, attachments* files) {
  if (const auto fine = check_texts(response); !fine)
    return fine;
  for (const auto& output : response.outputs)
    write(output, *to.add_outputs(), files);
  write(response.parameters, *to.mutable_parameters());
  return {};
}

expected<inference_response> from_wire(const wire::Response& from, const std::shared_ptr<const void>& owner,
                                       const attachments& files) {
  auto outputs = tensors_from_wire(from.outputs(), owner, files);
  if (!outputs)
    return outputs.error();
  auto parameters = parameters_from_wire(from.parameters());
  if (!parameters)
    return parameters.error();
  return inference_response{*std::move(outputs), *std::move(parameters)};
}

}  // namespace troupe::host
