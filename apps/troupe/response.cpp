#include "apps/troupe/response.hpp"

#include "apps/troupe/format.hpp"
#include "apps/troupe/small_float.hpp"
#include "inference/grpc_service.pb.h"

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <type_traits>
#include <utility>

namespace troupe::cli {
namespace {

namespace wire = inference;
using parameters = google::protobuf::Map<std::string, wire::InferParameter>;

template <class T>
T element_at(std::string_view data, std::size_t i) noexcept {
  T value;
  std::memcpy(&value, data.data() + i * sizeof value, sizeof value);
  return value;
}

/// Appends single elements of a tensor whose size was checked.
class element_writer {
 public:
  element_writer(const tensor& source, bool json) : source_(source), json_(json) {
    if (source.type == datatype::bytes)
      texts_ = *split_bytes(source.data.view(), *element_count(source.shape));
  }

  void append(std::string& out, std::size_t i) const {
    const auto data = source_.data.view();
    switch (source_.type) {
      case datatype::boolean:
        out += data[i] != 0 ? "true" : "false";
        break;
      case datatype::uint8:
        return append_integer<std::uint8_t>(out, i);
      case datatype::uint16:
        return append_integer<std::uint16_t>(out, i);
      case datatype::uint32:
        return append_integer<std::uint32_t>(out, i);
      case datatype::uint64:
        return append_integer<std::uint64_t>(out, i);
      case datatype::int8:
        return append_integer<std::int8_t>(out, i);
      case datatype::int16:
        return append_integer<std::int16_t>(out, i);
      case datatype::int32:
        return append_integer<std::int32_t>(out, i);
      case datatype::int64:
        return append_integer<std::int64_t>(out, i);
      case datatype::fp16:
        return append_real(out, static_cast<float>(widen(element_at<std::uint16_t>(data, i), fp16_format)));
      case datatype::bf16:
        return append_real(out, static_cast<float>(widen(element_at<std::uint16_t>(data, i), bf16_format)));
      case datatype::fp32:
        return append_real(out, element_at<float>(data, i));
      case datatype::fp64:
        return append_real(out, element_at<double>(data, i));
      case datatype::bytes:
        return json_ ? append_json_text(out, texts_[i]) : append_quoted(out, texts_[i]);
      case datatype::any:
        break;
    }
  }

 private:
  template <class T>
  void append_integer(std::string& out, std::size_t i) const {
    out += std::to_string(element_at<T>(source_.data.view(), i));
  }

  template <class T>
  void append_real(std::string& out, T value) const {
    json_ ? append_json_number(out, value) : append_number(out, value);
  }

  const tensor& source_;
  bool json_;
  std::vector<std::string_view> texts_;
};

/// The elements of a field as values of T, which is `type`; an error where T can't hold one.
template <class T, class Field>
expected<buffer> copy(const Field& field, datatype type) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<typename Field::value_type, bool>)
    for (const auto element : field)
      if (!std::in_range<T>(element))
        return make_error(status_code::internal,
                          "the value " + std::to_string(element) + " is no " + std::string{to_string(type)});
  return buffer::take(std::vector<T>(field.begin(), field.end()));
}

/// Typed contents as raw ones. Types without a field of their own give nothing.
expected<buffer> raw_contents(const wire::InferTensorContents& contents, datatype type) {
  switch (type) {
    case datatype::boolean:
      return copy<std::uint8_t>(contents.bool_contents(), type);
    case datatype::uint8:
      return copy<std::uint8_t>(contents.uint_contents(), type);
    case datatype::uint16:
      return copy<std::uint16_t>(contents.uint_contents(), type);
    case datatype::uint32:
      return copy<std::uint32_t>(contents.uint_contents(), type);
    case datatype::uint64:
      return copy<std::uint64_t>(contents.uint64_contents(), type);
    case datatype::int8:
      return copy<std::int8_t>(contents.int_contents(), type);
    case datatype::int16:
      return copy<std::int16_t>(contents.int_contents(), type);
    case datatype::int32:
      return copy<std::int32_t>(contents.int_contents(), type);
    case datatype::int64:
      return copy<std::int64_t>(contents.int64_contents(), type);
    case datatype::fp32:
      return copy<float>(contents.fp32_contents(), type);
    case datatype::fp64:
      return copy<double>(contents.fp64_contents(), type);
    case datatype::bytes: {
      std::string data;
      for (const auto& element : contents.bytes_contents())
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

/// Checks that the data is what datatype and shape say.
expected<void> check_size(const tensor& output) {
  const auto count = element_count(output.shape);
  if (!count)
    return count.error();
  if (output.type == datatype::bytes) {
    const auto elements = split_bytes(output.data.view(), *count);
    return elements ? expected<void>{} : elements.error();
  }
  const auto size = element_size(output.type);
  if (output.data.size() % size != 0 || output.data.size() / size != static_cast<std::uint64_t>(*count))
    return make_error(status_code::internal, std::to_string(output.data.size()) + " bytes are not " +
                                                 std::to_string(*count) + " elements of " +
                                                 std::string{to_string(output.type)});
  return {};
}

expected<tensor> read_output(const wire::ModelInferResponse& response, int index) {
  const auto& head = response.outputs(index);
  const auto type = parse_datatype(head.datatype());
  if (!type)
    return make_error(status_code::internal, "unknown datatype '" + head.datatype() + "'");
  tensor output{head.name(), *type, {head.shape().begin(), head.shape().end()}, {}};
  if (response.raw_output_contents_size() != 0) {
    const auto& raw = response.raw_output_contents(index);
    output.data = buffer{std::as_bytes(std::span{raw.data(), raw.size()}), nullptr};
  } else {
    auto typed = raw_contents(head.contents(), *type);
    if (!typed)
      return typed.error();
    output.data = *std::move(typed);
  }
  if (auto right = check_size(output); !right)
    return right.error();
  return output;
}

void append_parameter(std::string& out, const wire::InferParameter& value, bool json) {
  switch (value.parameter_choice_case()) {
    case wire::InferParameter::kBoolParam:
      out += value.bool_param() ? "true" : "false";
      break;
    case wire::InferParameter::kInt64Param:
      out += std::to_string(value.int64_param());
      break;
    case wire::InferParameter::kUint64Param:
      out += std::to_string(value.uint64_param());
      break;
    case wire::InferParameter::kDoubleParam:
      json ? append_json_number(out, value.double_param()) : append_number(out, value.double_param());
      break;
    case wire::InferParameter::kStringParam:
      json ? append_json_text(out, value.string_param()) : append_quoted(out, value.string_param());
      break;
    case wire::InferParameter::PARAMETER_CHOICE_NOT_SET:
      out += "null";
      break;
  }
}

/// In the order of the keys, so that the same response always prints the same.
std::map<std::string_view, const wire::InferParameter*> sorted(const parameters& values) {
  std::map<std::string_view, const wire::InferParameter*> result;
  for (const auto& [key, value] : values)
    result.emplace(key, &value);
  return result;
}

void append_json_parameters(std::string& out, const parameters& values) {
  out += '{';
  for (const auto& [key, value] : sorted(values)) {
    if (out.back() != '{')
      out += ',';
    append_json_text(out, key);
    out += ':';
    append_parameter(out, *value, true);
  }
  out += '}';
}

/// Appends the elements in brackets, each row of the last axis on a line of its own.
void append_nested(std::string& out, const tensor& source) {
  const element_writer elements{source, false};
  const auto& shape = source.shape;
  const auto count = static_cast<std::size_t>(*element_count(shape));
  if (count == 0) {
    out += "[]";
    return;
  }
  for (std::size_t i = 0; i != count; ++i) {
    // How many axes begin a new turn at this element, counted from the last one.
    std::size_t turning = 0;
    for (std::size_t block = 1; turning != shape.size(); ++turning) {
      block *= static_cast<std::size_t>(shape[shape.size() - 1 - turning]);
      if (i % block != 0)
        break;
    }
    if (i != 0) {
      out.append(turning, ']').append(turning == 0 ? ", " : ",\n");
      out.append(turning == 0 ? 0 : shape.size() - turning, ' ');
    }
    out.append(turning, '[');
    elements.append(out, i);
  }
  out.append(shape.size(), ']');
}

void append_json_output(std::string& out, const tensor& output) {
  out += R"({"name":)";
  append_json_text(out, output.name);
  out.append(R"(,"datatype":")").append(to_string(output.type)).append(R"(","shape":[)");
  for (const auto extent : output.shape)
    out.append(out.back() == '[' ? "" : ",").append(std::to_string(extent));
  out += R"(],"data":[)";
  const element_writer elements{output, true};
  const auto count = static_cast<std::size_t>(*element_count(output.shape));
  for (std::size_t i = 0; i != count; ++i) {
    if (i != 0)
      out += ',';
    elements.append(out, i);
  }
  out += "]}";
}

}  // namespace

expected<std::vector<tensor>> read_outputs(const wire::ModelInferResponse& response) {
  const auto raw = response.raw_output_contents_size();
  if (raw != 0 && raw != response.outputs_size())
    return make_error(status_code::internal, "the node answered " + std::to_string(response.outputs_size()) +
                                                 " outputs with " + std::to_string(raw) + " raw contents");
  std::vector<tensor> outputs;
  for (int i = 0; i != response.outputs_size(); ++i) {
    auto output = read_output(response, i);
    if (!output)
      return make_error(status_code::internal, "the node's answer is broken at output '" + response.outputs(i).name() +
                                                   "': " + output.error().cause);
    outputs.push_back(*std::move(output));
  }
  return outputs;
}

std::string response_to_text(const wire::ModelInferResponse& response, const std::vector<tensor>& outputs) {
  std::string text;
  for (const auto& output : outputs) {
    text.append(one_line(output.name)).append(" ").append(to_string(output.type)).append(" ");
    text.append(shape_to_string(output.shape)).append("\n");
    append_nested(text, output);
    text += '\n';
  }
  if (!response.id().empty()) {
    text += "id ";
    append_quoted(text, response.id());
    text += '\n';
  }
  for (const auto& [key, value] : sorted(response.parameters())) {
    text.append(one_line(key)).append(" = ");
    append_parameter(text, *value, false);
    text += '\n';
  }
  return text;
}

std::string response_to_json(const wire::ModelInferResponse& response, const std::vector<tensor>& outputs) {
  std::string text = R"({"model_name":)";
  append_json_text(text, response.model_name());
  text += R"(,"model_version":)";
  append_json_text(text, response.model_version());
  text += R"(,"id":)";
  append_json_text(text, response.id());
  text += R"(,"parameters":)";
  append_json_parameters(text, response.parameters());
  text += R"(,"outputs":[)";
  for (const auto& output : outputs) {
    if (text.back() != '[')
      text += ',';
    append_json_output(text, output);
  }
  return text + "]}\n";
}

}  // namespace troupe::cli
