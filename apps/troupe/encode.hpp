#pragma once

#include "apps/troupe/argument.hpp"
#include "apps/troupe/fwd.hpp"
#include "skillsets/sdk/tensor.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace troupe::cli {

/// What the model says of an input; a type of `any` or none, and an extent of -1, leave it to the value.
struct declared_input {
  std::optional<datatype> type;
  std::vector<std::int64_t> shape;
};

/// True when the model has to be asked what the input looks like: the argument does not say it all.
bool needs_declaration(const input_argument& input) noexcept;

/// Makes the tensor that an `--input` means. The datatype is the argument's, else the model's, else that of the JSON:
/// BOOL, INT64 (UINT64 where it must be), FP64 or BYTES. The shape is the argument's, else that of nested JSON lists;
/// a scalar or a flat list takes the model's shape where it fits in one way. Numbers that the datatype can't hold are
/// errors, never wrapped or cut. `@FILE` gives a file's bytes as raw contents, or as the one element of BYTES.
/// NOT_FOUND for a file that can't be read; INVALID_ARGUMENT names the input, the element and the value.
expected<tensor> encode(const input_argument& input, const declared_input& declared);

/// Puts a parameter on the wire, with the type that it has.
void encode(const parameter& value, inference::InferParameter& to);

}  // namespace troupe::cli
