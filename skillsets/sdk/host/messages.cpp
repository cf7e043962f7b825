#include "skillsets/sdk/host/messages.hpp"

#include <utf8cpp/utf8.h>

#include <algorithm>
#include <limits>
#include <optional>
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

/// Puts the bytes of a large tensor where they need not be copied through a socket; false when that can't be.
bool attach(const tensor& from, wire::Tensor& to, attachments& files) {
  const auto bytes = from.data.bytes();
  to.set_attached_bytes(bytes.size());
  // Lengths are checked before they are used: what says how it is to be read must not change in between.
  if (from.type == datatype::bytes) {
    const auto file = files.add(bytes);
    if (file)
      to.set_attachment(*file);
    return file.has_value();
  }
  const auto place = files.share(bytes);
  if (!place)
    return false;
  if (place->segment)
    to.set_segment(*place->segment);
  if (place->file)
    to.set_attachment(*place->file);
  return true;
}

void write(const tensor& from, wire::Tensor& to, attachments* files) {
  to.set_name(from.name);
  to.set_datatype(std::string{to_string(from.type)});
  to.mutable_shape()->Add(from.shape.begin(), from.shape.end());
  if (!files || from.data.size() < attachments::worthwhile || !attach(from, to, *files))
    to.set_data(from.data.bytes().data(), from.data.size());
}

error bad_segment(std::string why) {
  return make_error(status_code::data_loss, "a tensor is in a segment, " + std::move(why));
}

/// The bytes that are in a segment, which may be seen for the first time.
expected<buffer> view(const wire::Tensor& from, datatype type, const attachments& files, segment_views* segments) {
  if (!segments)
    return bad_segment("which can't be taken here");
  if (type == datatype::bytes)
    return bad_segment("which BYTES must not be");
  if (from.has_attachment()) {
    if (from.attachment() >= files.descriptors().size())
      return bad_segment("which did not come with the message");
    if (const auto added = segments->add(from.segment(), files.descriptors()[from.attachment()]); !added)
      return added.error();
  }
  return segments->view(from.segment(), from.attached_bytes());
}

/// What tensors of a message are read with.
struct tensor_source {
  const std::shared_ptr<const void>& owner;
  const attachments& files;
  segment_views* segments;
};

expected<buffer> data_of(const wire::Tensor& from, datatype type, const tensor_source& with) {
  if (from.has_segment())
    return view(from, type, with.files, with.segments);
  if (from.has_attachment())
    return with.segments ? with.segments->view(with.files, from.attachment(), from.attached_bytes())
                         : with.files.view(from.attachment(), from.attached_bytes());
  return buffer{std::as_bytes(std::span{from.data().data(), from.data().size()}), with.owner};
}

expected<tensor> read(const wire::Tensor& from, const tensor_source& with) {
  const auto type = type_from_wire(from.datatype());
  if (!type)
    return type.error();
  auto data = data_of(from, *type, with);
  if (!data)
    return data.error();
  return tensor{from.name(), *type, {from.shape().begin(), from.shape().end()}, *std::move(data)};
}

/// All are read, also when one can't be: what is in a segment has to be seen to be released.
template <class From>
expected<std::vector<tensor>> tensors_from_wire(const From& from, const tensor_source& with) {
  std::vector<tensor> result;
  std::optional<error> failure;
  for (const auto& each : from) {
    auto one = read(each, with);
    if (one)
      result.push_back(*std::move(one));
    else if (!failure)
      failure = one.error();
  }
  return failure ? expected<std::vector<tensor>>{*failure} : result;
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

void to_wire(const segment_notes& notes, wire::Segments& to) {
  to.mutable_released()->Add(notes.released.begin(), notes.released.end());
  to.mutable_returned()->Add(notes.returned.begin(), notes.returned.end());
  to.mutable_dropped()->Add(notes.dropped.begin(), notes.dropped.end());
}

segment_notes from_wire(const wire::Segments& from) {
  return {{from.released().begin(), from.released().end()},
          {from.returned().begin(), from.returned().end()},
          {from.dropped().begin(), from.dropped().end()}};
}

void to_wire(const inference_request& request, wire::Request& to, attachments* files) {
  for (const auto& input : request.inputs)
    write(input, *to.add_inputs(), files);
  write(request.parameters, *to.mutable_parameters());
  to.set_priority(request.priority);
}

expected<inference_request> from_wire(const wire::Request& from, const std::shared_ptr<const void>& owner,
                                      const attachments& files, segment_views* segments) {
  auto inputs = tensors_from_wire(from.inputs(), {owner, files, segments});
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
                                       const attachments& files, segment_views* segments) {
  auto outputs = tensors_from_wire(from.outputs(), {owner, files, segments});
  if (!outputs)
    return outputs.error();
  auto parameters = parameters_from_wire(from.parameters());
  if (!parameters)
    return parameters.error();
  return inference_response{*std::move(outputs), *std::move(parameters)};
}

}  // namespace troupe::host
