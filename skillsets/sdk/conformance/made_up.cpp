#include "skillsets/sdk/conformance/made_up.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::conformance {
namespace {

using generator = std::mt19937_64;

constexpr std::array<std::string_view, 16> words{"the",         "node", "runs",  "model",   "work", "under",
                                                 "supervision", "a",    "small", "station", "in",   "rain",
                                                 "forty",       "two",  "Grüße", "数"};

template <class Values>
auto any_of(const Values& values, generator& random) {
  return values[random() % std::size(values)];
}

std::string make_text(generator& random) {
  std::string text;
  for (auto left = 1 + random() % 12; left > 0; --left)
    text += (text.empty() ? "" : " ") + std::string{any_of(words, random)};
  return text;
}

/// What no text should be.
std::string make_bytes(generator& random) {
  switch (random() % 6) {
    case 0:
      return "";
    case 1:
      return std::string(1 + random() % 3, '\0');
    case 2:
      return "\xff\xfe\xc0\x80 \xed\xa0\x80";  // no UTF-8: overlong, and a lone surrogate
    case 3:
      return std::string(random() % 5000, 'a');
    case 4: {
      std::string noise(random() % 64, '\0');
      std::generate(noise.begin(), noise.end(), [&] { return static_cast<char>(random()); });
      return noise;
    }
    default:
      return make_text(random);
  }
}

template <class T>
void put(std::string& data, T value) {
  data.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T any_float(generator& random) {
  using limits = std::numeric_limits<T>;
  constexpr std::array odd{T{0},          -T{0},         limits::quiet_NaN(), limits::infinity(), -limits::infinity(),
                           limits::max(), limits::min(), limits::denorm_min()};
  return random() % 4 == 0 ? any_of(odd, random)
                           : static_cast<T>(std::uniform_real_distribution<double>{-10, 10}(random));
}

/// Bits of any kind, or a number that might mean something.
void put_any(std::string& data, datatype type, generator& random) {
  switch (type) {
    case datatype::fp32:
      return put(data, any_float<float>(random));
    case datatype::fp64:
      return put(data, any_float<double>(random));
    case datatype::boolean:
      return put(data, static_cast<std::uint8_t>(random() % 2));
    default: {
      const auto value = random() % 3 == 0 ? random() : random() % 16;
      data.append(reinterpret_cast<const char*>(&value), element_size(type));
    }
  }
}

std::int64_t count_of(const std::vector<std::int64_t>& shape) {
  const auto count = element_count(shape);
  return count ? *count : 0;
}

tensor make_tensor(const tensor_spec& spec, std::int64_t items, bool batches, generator& random) {
  constexpr std::array types{datatype::fp32, datatype::int32, datatype::bytes, datatype::uint8};
  tensor made{spec.name, spec.type == datatype::any ? any_of(types, random) : spec.type, spec.shape, {}};
  if (spec.any_rank)
    made.shape.assign(random() % 4, -1);
  for (auto& extent : made.shape)
    if (extent == -1)
      extent = static_cast<std::int64_t>(random() % 5);
  if (batches && !made.shape.empty())
    made.shape.front() = items;
  std::string data;
  for (auto left = count_of(made.shape); left > 0; --left)
    if (made.type == datatype::bytes)
      append_bytes(data, make_bytes(random));
    else
      put_any(data, made.type, random);
  made.data = buffer::take(std::move(data));
  return made;
}

/// Texts that are numbers to whoever wrote them.
bool are_numbers(const tensor& texts, std::int64_t count) {
  const auto elements = split_bytes(texts.data.view(), count);
  return elements && std::all_of(elements->begin(), elements->end(), [](std::string_view text) {
           return !text.empty() && text.find_first_not_of("+-.0123456789eE") == std::string_view::npos;
         });
}

/// The values of `like`, or such as are as good, in as many items.
tensor vary(tensor like, std::int64_t items, bool batches, generator& random) {
  if (like.type == datatype::bytes && are_numbers(like, count_of(like.shape)))
    return like;
  if (batches && !like.shape.empty() && like.shape.front() > 0 && like.type == datatype::bytes)
    like.shape.front() = items;
  const auto count = count_of(like.shape);
  std::string data;
  if (like.type == datatype::bytes)
    for (std::int64_t i = 0; i != count; ++i)
      append_bytes(data, make_text(random));
  else if (like.type == datatype::fp32)
    for (std::int64_t i = 0; i != count; ++i)
      put(data, std::uniform_real_distribution<float>{-1, 1}(random));
  else if (like.type == datatype::fp64)
    for (std::int64_t i = 0; i != count; ++i)
      put(data, std::uniform_real_distribution<double>{-1, 1}(random));
  else
    return like;
  like.data = buffer::take(std::move(data));
  return like;
}

}  // namespace

inference_request vary(inference_request like, const signature& what, std::mt19937_64& random) {
  // Items can be added where every input's values may be replaced; otherwise there are as many as there were.
  const bool free =
      what.batches && !what.stateful && std::all_of(like.inputs.begin(), like.inputs.end(), [](const tensor& input) {
        return input.type == datatype::bytes && !are_numbers(input, count_of(input.shape));
      });
  const auto items = static_cast<std::int64_t>(1 + random() % 4);
  for (auto& input : like.inputs)
    input = vary(std::move(input), items, free, random);
  return like;
}

inference_request make_up(const signature& what, std::mt19937_64& random) {
  inference_request made;
  const auto items = what.stateful ? 1 : static_cast<std::int64_t>(random() % 5);
  for (const auto& spec : what.inputs)
    made.inputs.push_back(make_tensor(spec, items, what.batches, random));
  if (random() % 8 == 0)
    made.parameters = make_up_parameters(random);
  return made;
}

inference_request part_of_a_sequence(inference_request request, const signature& what, std::mt19937_64& random) {
  if (what.stateful)
    request.sequence = sequence_part{sequence_id{std::uint64_t{1} + random() % 1'000'000'000}, true, true};
  return request;
}

parameter_map make_up_parameters(std::mt19937_64& random) {
  constexpr std::array<std::string_view, 6> names{"temperature", "max_tokens", "", "delay_ms", "x", "数"};
  parameter_map made;
  for (auto left = random() % 3; left > 0; --left) {
    auto& value = made[std::string{any_of(names, random)}];
    switch (random() % 5) {
      case 0:
        value = true;
        break;
      case 1:
        value = static_cast<std::int64_t>(random());
        break;
      case 2:
        value = std::uint64_t{random()};
        break;
      case 3:
        value = any_float<double>(random);
        break;
      default:
        value = make_text(random);  // no protocol lets anything through that is no UTF-8
    }
  }
  return made;
}

}  // namespace troupe::conformance
