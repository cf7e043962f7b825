#include "skillsets/triton_examples/elements.hpp"
#include "skillsets/triton_examples/simple_model.hpp"
#include "skillsets/triton_examples/tasks.hpp"

#include <charconv>
#include <string>
#include <type_traits>

namespace troupe::triton_examples {
namespace {

constexpr std::int64_t row = 16;

/// More than this is not done on the thread that brings a request: some microseconds of work.
constexpr std::size_t most_immediate_bytes = 4096;

struct both {
  buffer sum, difference;
};

template <class T>
expected<both> add_sub(const tensor& a, const tensor& b) {
  // In unsigned numbers, because those wrap around.
  using bits = std::make_unsigned_t<T>;
  auto sum = elements_of<T>(a), difference = sum;
  const auto other = elements_of<T>(b);
  for (std::size_t i = 0; i != sum.size(); ++i) {
    sum[i] = static_cast<T>(static_cast<bits>(static_cast<bits>(sum[i]) + static_cast<bits>(other[i])));
    difference[i] = static_cast<T>(static_cast<bits>(static_cast<bits>(difference[i]) - static_cast<bits>(other[i])));
  }
  return both{buffer::take(std::move(sum)), buffer::take(std::move(difference))};
}

expected<std::vector<std::int32_t>> numbers_of(const tensor& of) {
  const auto count = element_count(of.shape);
  if (!count)
    return count.error();
  const auto texts = split_bytes(of.data.view(), *count);
  if (!texts)
    return texts.error();
  std::vector<std::int32_t> numbers;
  for (const auto text : *texts) {
    auto& number = numbers.emplace_back();
    const auto* end = text.data() + text.size();
    const auto [rest, failed] = std::from_chars(text.data(), end, number);
    if (failed != std::errc{} || rest != end)
      return make_error(status_code::invalid_argument,
                        "input '" + of.name + "' has the element '" + shortened(text, 40) + "'",
                        "give whole numbers of 32 bits in decimal");
  }
  return numbers;
}

expected<both> add_sub_texts(const tensor& a, const tensor& b) {
  const auto first = numbers_of(a), second = numbers_of(b);
  if (!first || !second)
    return first ? second.error() : first.error();
  std::string sum, difference;
  for (std::size_t i = 0; i != first->size(); ++i) {
    const std::int64_t x = (*first)[i], y = (*second)[i];
    append_bytes(sum, std::to_string(x + y));
    append_bytes(difference, std::to_string(x - y));
  }
  return both{buffer::take(std::move(sum)), buffer::take(std::move(difference))};
}

using operation = expected<both>(const tensor&, const tensor&);

class add_sub_instance final : public single_instance {
 public:
  explicit add_sub_instance(operation* what) : what_(what) {}

  using single_instance::run;

  expected<inference_response> run(const inference_request& request, const cancel_token&) override {
    const auto &a = request.inputs[0], &b = request.inputs[1];
    auto done = what_(a, b);
    if (!done)
      return std::move(done).error();
    inference_response response;
    response.outputs.push_back({"OUTPUT0", a.type, a.shape, std::move(done->sum)});
    response.outputs.push_back({"OUTPUT1", a.type, a.shape, std::move(done->difference)});
    return response;
  }

  bool immediate(const inference_request& request) const noexcept override {
    return request.inputs[0].data.size() <= most_immediate_bytes;
  }

 private:
  operation* what_;
};

operation* operation_of(datatype type) {
  switch (type) {
    case datatype::int32:
      return add_sub<std::int32_t>;
    case datatype::int8:
      return add_sub<std::int8_t>;
    case datatype::bytes:
      return add_sub_texts;
    default:
      return nullptr;
  }
}

buffer ones(datatype type) {
  if (type != datatype::bytes)
    return buffer::take(std::string(static_cast<std::size_t>(row) * element_size(type), '\1'));
  std::string texts;
  for (std::int64_t i = 0; i != row; ++i)
    append_bytes(texts, "1");
  return buffer::take(std::move(texts));
}

}  // namespace

expected<std::unique_ptr<loaded_model>> make_add_sub(datatype type) {
  auto* what = operation_of(type);
  if (!what)
    return make_error(status_code::invalid_argument, "the task add_sub has no datatype " + std::string{to_string(type)},
                      "set options.datatype to INT32, INT8 or BYTES");
  const auto spec = [&](const char* name) { return tensor_spec{name, type, {-1, row}}; };
  inference_request warm_up;
  for (const auto* name : {"INPUT0", "INPUT1"})
    warm_up.inputs.push_back({name, type, {1, row}, ones(type)});
  return make_simple_model({{spec("INPUT0"), spec("INPUT1")}, {spec("OUTPUT0"), spec("OUTPUT1")}, true},
                           std::move(warm_up), [what] { return std::make_unique<add_sub_instance>(what); });
}

}  // namespace troupe::triton_examples
