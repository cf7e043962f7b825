#include "actors/gateway/grpc/shared_tensors.hpp"

#include <algorithm>

namespace troupe {
namespace {

using inference::InferParameter;

constexpr std::string_view prefix = "shared_memory_";

error wrong(const std::string& of, const std::string& what, std::string remedy = {}) {
  return make_error(status_code::invalid_argument, of + " " + what, std::move(remedy));
}

error about(const std::string& of, error e) {
  e.cause = of + ": " + e.cause;
  return e;
}

/// The parameters as they were sent.
struct place {
  const std::string* region = nullptr;
  std::optional<std::int64_t> size;
  std::int64_t offset = 0;
};

expected<place> parse(const wire_parameters& parameters, const std::string& of) {
  place result;
  for (const auto& [name, value] : parameters) {
    if (name.rfind(prefix, 0) != 0)
      continue;
    const bool is_text = value.parameter_choice_case() == InferParameter::kStringParam;
    const bool is_number = value.parameter_choice_case() == InferParameter::kInt64Param;
    if (name == "shared_memory_region" && is_text)
      result.region = &value.string_param();
    else if (name == "shared_memory_byte_size" && is_number)
      result.size = value.int64_param();
    else if (name == "shared_memory_offset" && is_number)
      result.offset = value.int64_param();
    else
      return wrong(of, "has a parameter '" + name + "' that is not known or of the wrong type",
                   "give shared_memory_region as string, shared_memory_byte_size and shared_memory_offset as int64");
  }
  return result;
}

/// Where a tensor is; `of` names it.
expected<shared_slice> find_slice(const wire_parameters& parameters, const std::string& of,
                                  const shared_memory& memory) {
  const auto given = parse(parameters, of);
  if (!given)
    return given.error();
  if (!given->region || !given->size)
    return wrong(of, "has not all that tells its place in shared memory",
                 "give both shared_memory_region and shared_memory_byte_size");
  if (*given->size < 0 || given->offset < 0)
    return wrong(of, "has " + std::to_string(*given->size) + " bytes from " + std::to_string(given->offset) +
                         " on in shared memory, of which one is negative");
  auto slice =
      memory.find(*given->region, static_cast<std::uint64_t>(given->offset), static_cast<std::uint64_t>(*given->size));
  return slice ? slice : about(of, std::move(slice).error());
}

std::string input_name(const std::string& name) {
  return "input '" + name + "'";
}

std::string output_name(const std::string& name) {
  return "output '" + name + "'";
}

}  // namespace

bool in_shared_memory(const wire_parameters& parameters) {
  return std::any_of(parameters.begin(), parameters.end(),
                     [](const auto& named) { return named.first.rfind(prefix, 0) == 0; });
}

expected<buffer> shared_inputs::read(const inference::ModelInferRequest::InferInputTensor& input) {
  const auto of = input_name(input.name());
  if (input.has_contents())
    return wrong(of, "has contents although it is in shared memory", "give one of them");
  const auto slice = find_slice(input.parameters(), of, memory_);
  if (!slice)
    return slice.error();
  if (slice->size() > bytes_left_)
    return make_error(status_code::resource_exhausted,
                      of + " has " + std::to_string(slice->size()) +
                          " bytes in shared memory, where the request may have " + std::to_string(bytes_left_) +
                          " more",
                      "send less at once, or raise grpc.max_message_mib in troupe.toml");
  bytes_left_ -= slice->size();
  auto data = slice->read();
  return data ? data : about(of, std::move(data).error());
}

expected<shared_outputs> shared_outputs::of(const inference::ModelInferRequest& request, const shared_memory& memory) {
  shared_outputs result;
  for (const auto& output : request.outputs()) {
    if (!in_shared_memory(output.parameters()))
      continue;
    auto slice = find_slice(output.parameters(), output_name(output.name()), memory);
    if (!slice)
      return slice.error();
    result.places_.emplace_back(output.name(), *std::move(slice));
  }
  return result;
}

expected<void> shared_outputs::write(const inference_response& answer) const {
  for (const auto& output : answer.outputs)
    if (const auto* slice = find(output.name)) {
      if (output.data.size() > slice->size())
        return wrong(output_name(output.name),
                     "needs " + std::to_string(output.data.size()) + " bytes, more than the " +
                         std::to_string(slice->size()) + " it was given in shared memory region '" + slice->region() +
                         "'",
                     "give it a larger shared_memory_byte_size");
      if (const auto checked = slice->check(); !checked)
        return about(output_name(output.name), checked.error());
    }
  for (const auto& output : answer.outputs)
    if (const auto* slice = find(output.name))
      if (const auto written = slice->write(output.data.bytes()); !written)
        return about(output_name(output.name), written.error());
  return {};
}

const shared_slice* shared_outputs::find(std::string_view output) const {
  for (const auto& [name, slice] : places_)
    if (name == output)
      return &slice;
  return nullptr;
}

}  // namespace troupe
