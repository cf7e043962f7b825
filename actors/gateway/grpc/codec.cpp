#include "actors/gateway/grpc/codec.hpp"

#include "actors/gateway/prepare_call.hpp"
#include "actors/serving/inference_call.hpp"
#include "actors/serving/served_model.hpp"

#include "inference/grpc_service.pb.h"

#include <algorithm>
#include <limits>
#include <type_traits>

namespace troupe {
namespace {

using inference::InferParameter;
using inference::InferTensorContents;
using input_message = inference::ModelInferRequest::InferInputTensor;

error wrong_input(const input_message& input, const std::string& what, std::string remedy = {}) {
  return make_error(status_code::invalid_argument, "input '" + input.name() + "' " + what, std::move(remedy));
}

/// How many values each field of typed contents holds, all but the one that belongs to `type`.
int foreign_values(const InferTensorContents& c, datatype type) {
  int count = c.bool_contents_size() + c.int_contents_size() + c.int64_contents_size() + c.uint_contents_size() +
              c.uint64_contents_size() + c.fp32_contents_size() + c.fp64_contents_size() + c.bytes_contents_size();
  switch (type) {
    case datatype::boolean:
      return count - c.bool_contents_size();
    case datatype::int8:
    case datatype::int16:
    case datatype::int32:
      return count - c.int_contents_size();
    case datatype::int64:
      return count - c.int64_contents_size();
    case datatype::uint8:
    case datatype::uint16:
    case datatype::uint32:
      return count - c.uint_contents_size();
    case datatype::uint64:
      return count - c.uint64_contents_size();
    case datatype::fp32:
      return count - c.fp32_contents_size();
    case datatype::fp64:
      return count - c.fp64_contents_size();
    case datatype::bytes:
      return count - c.bytes_contents_size();
    case datatype::fp16:
    case datatype::bf16:
    case datatype::any:
      break;
  }
  return count;
}

/// The values as elements of type `T`. INVALID_ARGUMENT when one does not fit.
template <class T, class Values>
expected<buffer> narrowed(const input_message& input, const Values& values) {
  using storage = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>;
  std::vector<storage> elements;
  elements.reserve(static_cast<std::size_t>(values.size()));
  for (const auto value : values) {
    if constexpr (std::is_integral_v<T> && sizeof(T) < sizeof value)
      if (value < std::numeric_limits<T>::min() || value > std::numeric_limits<T>::max())
        return wrong_input(input, "has the value " + std::to_string(value) + ", which is no " + input.datatype());
    elements.push_back(static_cast<storage>(value));
  }
  return buffer::take(std::move(elements));
}

expected<buffer> typed_data(const input_message& input, datatype type) {
  const auto& c = input.contents();
  if (foreign_values(c, type) > 0)
    return wrong_input(input, "has typed contents in a field that is not " + input.datatype() + "'s",
                       "see InferTensorContents for the field of each datatype; FP16 and BF16 travel raw only");
  switch (type) {
    case datatype::boolean:
      return narrowed<bool>(input, c.bool_contents());
    case datatype::int8:
      return narrowed<std::int8_t>(input, c.int_contents());
    case datatype::int16:
      return narrowed<std::int16_t>(input, c.int_contents());
    case datatype::int32:
      return narrowed<std::int32_t>(input, c.int_contents());
    case datatype::int64:
      return narrowed<std::int64_t>(input, c.int64_contents());
    case datatype::uint8:
      return narrowed<std::uint8_t>(input, c.uint_contents());
    case datatype::uint16:
      return narrowed<std::uint16_t>(input, c.uint_contents());
    case datatype::uint32:
      return narrowed<std::uint32_t>(input, c.uint_contents());
    case datatype::uint64:
      return narrowed<std::uint64_t>(input, c.uint64_contents());
    case datatype::fp32:
      return narrowed<float>(input, c.fp32_contents());
    case datatype::fp64:
      return narrowed<double>(input, c.fp64_contents());
    case datatype::bytes: {
      std::string data;
      for (const auto& element : c.bytes_contents())
        append_bytes(data, element);
      return buffer::take(std::move(data));
    }
    case datatype::fp16:
    case datatype::bf16:
    case datatype::any:
      break;
  }
  return buffer{};
}

/// Refuses what would change the answer if it were ignored.
expected<void> check_parameters(const google::protobuf::Map<std::string, InferParameter>& parameters,
                                const std::string& of) {
  for (const auto& [name, value] : parameters) {
    if (name == "classification")
      return make_error(status_code::unimplemented, of + " asks for classification", "ask for the scores instead");
  }
  return {};
}

std::optional<parameter> decode_parameter(const InferParameter& value) {
  switch (value.parameter_choice_case()) {
    case InferParameter::kBoolParam:
      return value.bool_param();
    case InferParameter::kInt64Param:
      return std::int64_t{value.int64_param()};
    case InferParameter::kStringParam:
      return value.string_param();
    case InferParameter::kDoubleParam:
      return value.double_param();
    case InferParameter::kUint64Param:
      return std::uint64_t{value.uint64_param()};
    case InferParameter::PARAMETER_CHOICE_NOT_SET:
      break;
  }
  return std::nullopt;
}

struct encode_parameter {
  InferParameter& to;

  void operator()(bool value) const { to.set_bool_param(value); }
  void operator()(std::int64_t value) const { to.set_int64_param(value); }
  void operator()(std::uint64_t value) const { to.set_uint64_param(value); }
  void operator()(double value) const { to.set_double_param(value); }
  void operator()(const std::string& value) const { to.set_string_param(value); }
};

/// Decodes an input; `raw` is the next of the raw contents, which those inputs have that are not in shared memory.
expected<tensor> decode_input(const inference::ModelInferRequest& message, const input_message& input, int& raw,
                              const std::shared_ptr<const void>& owner, shared_inputs& shared) {
  const auto type = parse_datatype(input.datatype());
  if (!type)
    return wrong_input(input, "has the unknown datatype '" + input.datatype() + "'");
  if (const auto checked = check_parameters(input.parameters(), "input '" + input.name() + "'"); !checked)
    return checked.error();
  tensor result{input.name(), *type, {input.shape().begin(), input.shape().end()}, {}};
  if (in_shared_memory(input.parameters())) {
    auto data = shared.read(input);
    if (!data)
      return data.error();
    result.data = *std::move(data);
  } else if (message.raw_input_contents_size() > 0) {
    if (input.has_contents())
      return wrong_input(input, "has typed contents although the request has raw contents", "use one of them for all");
    result.data = buffer{std::as_bytes(std::span{message.raw_input_contents(raw++)}), owner};
  } else {
    auto data = typed_data(input, *type);
    if (!data)
      return data.error();
    result.data = *std::move(data);
  }
  return result;
}

void encode_output(const tensor& output, const shared_outputs& shared, inference::ModelInferResponse& response) {
  auto& message = *response.add_outputs();
  message.set_name(output.name);
  message.set_datatype(std::string{to_string(output.type)});
  message.mutable_shape()->Add(output.shape.begin(), output.shape.end());
  if (const auto* place = shared.find(output.name)) {
    auto& parameters = *message.mutable_parameters();
    parameters["shared_memory_region"].set_string_param(place->region());
    parameters["shared_memory_byte_size"].set_int64_param(static_cast<std::int64_t>(output.data.size()));
    parameters["shared_memory_offset"].set_int64_param(static_cast<std::int64_t>(place->offset()));
    // Clients look an output's raw contents up by the output's index.
    response.add_raw_output_contents();
  } else {
    response.add_raw_output_contents(output.data.view().data(), output.data.size());
  }
}

/// Whether there are as many raw contents as inputs that need them, or none at all.
expected<void> check_raw_contents(const inference::ModelInferRequest& message) {
  const auto raw = message.raw_input_contents_size();
  if (raw == 0)
    return {};
  const auto& inputs = message.inputs();
  const auto elsewhere = std::count_if(inputs.begin(), inputs.end(),
                                       [](const auto& input) { return in_shared_memory(input.parameters()); });
  if (raw != inputs.size() - elsewhere)
    return make_error(status_code::invalid_argument,
                      "there are " + std::to_string(raw) + " raw contents for " + std::to_string(inputs.size()) +
                          " inputs" +
                          (elsewhere > 0 ? ", of which " + std::to_string(elsewhere) + " in shared memory" : ""),
                      "give one for each input that is not in shared memory, in the order of the inputs");
  return {};
}

}  // namespace

expected<void> read_call(const inference::ModelInferRequest& message, const std::shared_ptr<const void>& owner,
                         shared_inputs shared, const served_model& model, inference_call& call) {
  auto decoded = decode(message, owner, shared);
  if (!decoded)
    return decoded.error();
  call.input = *std::move(decoded);
  if (auto valid = check_requested_outputs(message, *model.describe()); !valid)
    return valid;
  return prepare_call(model, call);
}

expected<inference_request> decode(const inference::ModelInferRequest& message,
                                   const std::shared_ptr<const void>& owner, shared_inputs shared) {
  if (const auto checked = check_raw_contents(message); !checked)
    return checked.error();
  if (const auto checked = check_parameters(message.parameters(), "the request"); !checked)
    return checked.error();
  if (in_shared_memory(message.parameters()))
    return make_error(status_code::invalid_argument, "the request has parameters of shared memory",
                      "give them to its inputs and outputs");
  inference_request request;
  for (const auto& [name, value] : message.parameters())
    if (auto decoded = decode_parameter(value))
      request.parameters.emplace(name, *std::move(decoded));
  request.inputs.reserve(static_cast<std::size_t>(message.inputs_size()));
  int raw = 0;
  for (const auto& input : message.inputs()) {
    auto decoded = decode_input(message, input, raw, owner, shared);
    if (!decoded)
      return decoded.error();
    request.inputs.push_back(*std::move(decoded));
  }
  return request;
}

expected<void> check_requested_outputs(const inference::ModelInferRequest& message, const signature& model) {
  for (int i = 0; i != message.outputs_size(); ++i) {
    const auto& name = message.outputs(i).name();
    const auto known = [&](const tensor_spec& spec) { return spec.name == name; };
    if (std::none_of(model.outputs.begin(), model.outputs.end(), known))
      return make_error(status_code::invalid_argument, "the model has no output '" + name + "'",
                        "ModelMetadata lists the outputs");
    for (int j = 0; j != i; ++j)
      if (message.outputs(j).name() == name)
        return make_error(status_code::invalid_argument, "output '" + name + "' is asked for twice");
    if (const auto checked = check_parameters(message.outputs(i).parameters(), "output '" + name + "'"); !checked)
      return checked.error();
  }
  return {};
}

void encode(const inference_response& answer, const inference::ModelInferRequest& request,
            const std::string& model_version, const shared_outputs& shared, inference::ModelInferResponse& response) {
  response.set_model_name(request.model_name());
  response.set_model_version(model_version);
  response.set_id(request.id());
  for (const auto& [name, value] : answer.parameters)
    std::visit(encode_parameter{(*response.mutable_parameters())[name]}, value);
  if (request.outputs_size() == 0)
    for (const auto& output : answer.outputs)
      encode_output(output, shared, response);
  for (const auto& wanted : request.outputs())
    for (const auto& output : answer.outputs)
      if (output.name == wanted.name())
        encode_output(output, shared, response);
}

}  // namespace troupe
