#pragma once

#include "skillsets/sdk/tensor.hpp"

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace troupe::triton_examples {

/// A copy of a tensor's elements, which may lie at any address on the wire.
template <class T>
std::vector<T> elements_of(const tensor& of) {
  std::vector<T> result(of.data.size() / sizeof(T));
  if (!result.empty())
    std::memcpy(result.data(), of.data.bytes().data(), result.size() * sizeof(T));
  return result;
}

/// A tensor of one axis.
template <class T>
tensor vector_tensor(std::string name, datatype type, std::vector<T> elements) {
  const auto size = static_cast<std::int64_t>(elements.size());
  return {std::move(name), type, {size}, buffer::take(std::move(elements))};
}

}  // namespace troupe::triton_examples
