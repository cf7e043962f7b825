#include "apps/troupe/encode.hpp"

#include "apps/troupe/format.hpp"
#include "apps/troupe/read_file.hpp"
#include "apps/troupe/small_float.hpp"
#include "inference/grpc_service.pb.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace troupe::cli {
namespace {

using json = nlohmann::json;
using extents = std::vector<std::int64_t>;

constexpr std::size_t deepest_nesting = 32;

error wrong(std::string cause, std::string remedy = {}) {
  return make_error(status_code::invalid_argument, std::move(cause), std::move(remedy));
}

/// A JSON value as a tensor: its elements in row-major order, and the shape that its lists have.
struct flat_value {
  extents shape;
  std::vector<const json*> elements;
};

expected<void> flatten(const json& value, std::size_t depth, flat_value& result) {
  const bool list = depth != result.shape.size();
  if (value.is_array() != list || (list && value.size() != static_cast<std::size_t>(result.shape[depth])))
    return wrong("the lists are not equally long at depth " + std::to_string(depth) + ", so they have no shape");
  if (!list) {
    result.elements.push_back(&value);
    return {};
  }
  for (const auto& item : value)
    if (auto done = flatten(item, depth + 1, result); !done)
      return done;
  return {};
}

expected<flat_value> flatten(const json& value) {
  flat_value result;
  for (const auto* level = &value; level->is_array(); level = &level->front()) {
    result.shape.push_back(static_cast<std::int64_t>(level->size()));
    if (result.shape.size() > deepest_nesting)
      return wrong("lists are nested deeper than " + std::to_string(deepest_nesting));
    if (level->empty())
      break;
  }
  if (auto done = flatten(value, 0, result); !done)
    return done.error();
  return result;
}

/// What begins like a list, an object or a string must be JSON, or a typing error would become a text; anything else
/// that isn't JSON is a string, and so is everything else for BYTES.
expected<json> parse_value(const std::string& text, std::optional<datatype> type) {
  const auto first = text.find_first_not_of(" \t\r\n");
  const bool structured = first != std::string::npos && std::string_view{"[{\""}.find(text[first]) != std::string::npos;
  if (!structured && type == datatype::bytes)
    return json(text);
  try {
    return json::parse(text);
  } catch (const json::exception& e) {
    if (!structured)
      return json(text);
    const std::string_view what = e.what();
    return wrong("the value is not JSON: " + std::string{what.substr(what.find("] ") + 2)},
                 "a text that begins with [, { or \" is written as a JSON string");
  }
}

/// The bytes of `{"b64": "…"}`.
std::optional<std::string> wrapped_bytes(const json& element) {
  if (!element.is_object() || element.size() != 1 || !element.contains("b64") || !element["b64"].is_string())
    return std::nullopt;
  return from_base64(element["b64"].get_ref<const std::string&>());
}

/// True for a number that FP64 holds as it was written: an integer of at most 53 bits that zeros may follow.
bool fits_fp64(const json& element) {
  if (!element.is_number_integer())
    return element.is_number();
  const auto bits = element.get<std::uint64_t>();
  const auto magnitude = element.is_number_unsigned() ? bits : 0 - bits;  // a signed one was written with a minus
  return magnitude == 0 || std::bit_width(magnitude >> std::countr_zero(magnitude)) <= 53;
}

/// The datatype that holds all elements without loss; nothing when there is none or they are of different kinds.
std::optional<datatype> common_type(const std::vector<const json*>& elements) {
  const auto all = [&](auto is) {
    return !elements.empty() && std::all_of(elements.begin(), elements.end(), [&](const json* e) { return is(*e); });
  };
  if (all([](const json& e) { return e.is_boolean(); }))
    return datatype::boolean;
  if (all([](const json& e) { return e.is_string() || wrapped_bytes(e); }))
    return datatype::bytes;
  if (all([](const json& e) {
        return e.is_number_integer() &&
               (!e.is_number_unsigned() || std::in_range<std::int64_t>(e.get<std::uint64_t>()));
      }))
    return datatype::int64;
  if (all([](const json& e) { return e.is_number_unsigned(); }))
    return datatype::uint64;
  if (all(fits_fp64))
    return datatype::fp64;
  return std::nullopt;
}

template <class T>
void append_raw(std::string& data, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  data.append(bytes, sizeof value);
}

/// The functions `append_…` are true when the element is a value of the type.
template <class T>
bool append_integer(std::string& data, const json& element) {
  if (!element.is_number_integer())
    return false;
  const bool fits = element.is_number_unsigned() ? std::in_range<T>(element.get<std::uint64_t>())
                                                 : std::in_range<T>(element.get<std::int64_t>());
  if (fits)
    append_raw(data, element.get<T>());
  return fits;
}

std::optional<double> as_double(const json& element) {
  if (element.is_number())
    return element.get<double>();
  constexpr auto infinity = std::numeric_limits<double>::infinity();
  if (element == "NaN")
    return std::numeric_limits<double>::quiet_NaN();
  if (element == "Infinity" || element == "-Infinity")
    return element == "Infinity" ? infinity : -infinity;
  return std::nullopt;
}

bool append_fp32(std::string& data, double value) {
  const auto nearest = static_cast<float>(value);
  if (std::isinf(nearest) && !std::isinf(value))
    return false;
  append_raw(data, nearest);
  return true;
}

bool append_float(std::string& data, datatype type, const json& element) {
  const auto value = as_double(element);
  if (!value)
    return false;
  if (type == datatype::fp32)
    return append_fp32(data, *value);
  if (type == datatype::fp64) {
    append_raw(data, *value);
    return true;
  }
  const auto bits = narrow(*value, type == datatype::fp16 ? fp16_format : bf16_format);
  if (bits)
    append_raw(data, *bits);
  return bits.has_value();
}

bool append_text(std::string& data, const json& element) {
  const auto wrapped = wrapped_bytes(element);
  if (!wrapped && !element.is_string())
    return false;
  append_bytes(data, wrapped ? *wrapped : element.get_ref<const std::string&>());
  return true;
}

bool append_element(std::string& data, datatype type, const json& element) {
  switch (type) {
    case datatype::boolean:
      if (element.is_boolean())
        append_raw(data, static_cast<std::uint8_t>(element.get<bool>()));
      return element.is_boolean();
    case datatype::uint8:
      return append_integer<std::uint8_t>(data, element);
    case datatype::uint16:
      return append_integer<std::uint16_t>(data, element);
    case datatype::uint32:
      return append_integer<std::uint32_t>(data, element);
    case datatype::uint64:
      return append_integer<std::uint64_t>(data, element);
    case datatype::int8:
      return append_integer<std::int8_t>(data, element);
    case datatype::int16:
      return append_integer<std::int16_t>(data, element);
    case datatype::int32:
      return append_integer<std::int32_t>(data, element);
    case datatype::int64:
      return append_integer<std::int64_t>(data, element);
    case datatype::fp16:
    case datatype::bf16:
    case datatype::fp32:
    case datatype::fp64:
      return append_float(data, type, element);
    case datatype::bytes:
      return append_text(data, element);
    case datatype::any:
      break;
  }
  return false;
}

/// The beginning of an element, for an error. What is nested in it is not shown: dump() recurses, and would overflow
/// the stack where somebody nests deep enough.
std::string describe(const json& element) {
  if (element.is_structured() && std::any_of(element.begin(), element.end(), [](auto& e) { return e.is_structured(); }))
    return "a nested object";
  return ellipsis(element.dump(-1, ' ', false, json::error_handler_t::replace), 60);
}

expected<std::string> encode_elements(const std::vector<const json*>& elements, datatype type) {
  std::string data;
  data.reserve(elements.size() * element_size(type));
  for (std::size_t i = 0; i != elements.size(); ++i)
    if (!append_element(data, type, *elements[i]))
      return wrong("element " + std::to_string(i) + " is " + describe(*elements[i]) + ", which is no " +
                   std::string{to_string(type)});
  return data;
}

/// The declared shape with its open extents filled in, when `count` elements fit it in exactly one way.
std::optional<extents> fit(extents declared, std::int64_t count) {
  const auto open = std::count_if(declared.begin(), declared.end(), [](auto extent) { return extent < 0; });
  if (declared.empty())
    return std::nullopt;
  auto fixed = declared;
  std::replace_if(
      fixed.begin(), fixed.end(), [](auto extent) { return extent < 0; }, 1);
  const auto product = element_count(fixed);
  if (!product || (*product == 0 && open != 0))  // beside a zero, an open extent could be anything
    return std::nullopt;
  if (*product == count)
    return fixed;
  if (open != 1 || count % *product != 0)
    return std::nullopt;
  std::replace_if(
      declared.begin(), declared.end(), [](auto extent) { return extent < 0; }, count / *product);
  return declared;
}

/// `written` is the shape that the value has by itself, of `count` elements.
expected<extents> resolve_shape(const input_argument& input, const declared_input& declared, const extents& written,
                                std::int64_t count) {
  const bool flat = written.size() <= 1;
  if (!input.shape) {
    const auto fitted = flat ? fit(declared.shape, count) : std::nullopt;
    return fitted.value_or(written);
  }
  const auto wanted = element_count(*input.shape);
  if (!wanted)
    return wanted.error();
  if (*wanted != count)
    return wrong("shape " + shape_to_string(*input.shape) + " has " + std::to_string(*wanted) +
                 " elements, the value " + std::to_string(count));
  if (!flat && written != *input.shape)
    return wrong("the lists have the shape " + shape_to_string(written) + ", not " + shape_to_string(*input.shape));
  return *input.shape;
}

expected<tensor> encode_file(const input_argument& input, const declared_input& declared,
                             std::optional<datatype> type) {
  if (!type)
    return wrong("a file's datatype can't be guessed", "write NAME:DATATYPE=@FILE");
  auto bytes = read_file(input.value.substr(1));
  if (!bytes)
    return bytes.error();
  extents written;
  if (*type == datatype::bytes) {
    std::string element;
    append_bytes(element, *bytes);
    bytes = std::move(element);
  } else {
    if (bytes->size() % element_size(*type) != 0)
      return wrong("the file has " + std::to_string(bytes->size()) + " bytes, which are no whole elements of " +
                   std::string{to_string(*type)});
    written.push_back(static_cast<std::int64_t>(bytes->size() / element_size(*type)));
  }
  auto shape = resolve_shape(input, declared, written, written.empty() ? 1 : written[0]);
  if (!shape)
    return shape.error();
  return tensor{input.name, *type, *std::move(shape), buffer::take(*std::move(bytes))};
}

expected<tensor> encode_value(const input_argument& input, const declared_input& declared,
                              std::optional<datatype> type) {
  const auto value = parse_value(input.value, type);
  if (!value)
    return value.error();
  const auto flat = flatten(*value);
  if (!flat)
    return flat.error();
  if (!type)
    type = common_type(flat->elements);
  if (!type)
    return wrong("the datatype can't be told from the value", "write NAME:DATATYPE=VALUE");
  auto shape = resolve_shape(input, declared, flat->shape, static_cast<std::int64_t>(flat->elements.size()));
  if (!shape)
    return shape.error();
  auto data = encode_elements(flat->elements, *type);
  if (!data)
    return data.error();
  return tensor{input.name, *type, *std::move(shape), buffer::take(*std::move(data))};
}

struct set_parameter {
  inference::InferParameter& to;

  void operator()(bool value) const { to.set_bool_param(value); }
  void operator()(std::int64_t value) const { to.set_int64_param(value); }
  void operator()(std::uint64_t value) const { to.set_uint64_param(value); }
  void operator()(double value) const { to.set_double_param(value); }
  void operator()(const std::string& value) const { to.set_string_param(value); }
};

}  // namespace

bool needs_declaration(const input_argument& input) noexcept {
  return !input.type || !input.shape;
}

expected<tensor> encode(const input_argument& input, const declared_input& declared) {
  auto type = input.type ? input.type : declared.type;
  if (type == datatype::any)
    type.reset();
  auto result = input.value.starts_with('@') ? encode_file(input, declared, type) : encode_value(input, declared, type);
  if (!result)
    result.error().cause = "input '" + input.name + "': " + result.error().cause;
  return result;
}

void encode(const parameter& value, inference::InferParameter& to) {
  std::visit(set_parameter{to}, value);
}

}  // namespace troupe::cli
