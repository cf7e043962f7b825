#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <memory>

/// The tasks of this skillset, a model each.
namespace troupe::triton_examples {

/// Triton's `simple` and its kin: INPUT0 and INPUT1 of shape [-1, 16] to their sum OUTPUT0 and their difference
/// OUTPUT1. Of `type` INT32 or INT8, which wrap around; or BYTES, which are numbers in decimal, and so are the answers.
/// INVALID_ARGUMENT for another type.
expected<std::unique_ptr<loaded_model>> make_add_sub(datatype type);

/// Triton's `simple_identity`: INPUT0 to OUTPUT0, of any shape, and of any datatype or the one given.
std::unique_ptr<loaded_model> make_pass(datatype type);

/// Triton's `repeat_int32`, decoupled: for each element of IN (INT32) a response with the element as OUT and its index
/// as IDX (UINT32), DELAY (UINT32, as many) milliseconds after the one before; then none. The instance stays busy for
/// WAIT (UINT32, one) milliseconds at least. Unlike Triton's, it is busy until its last response, too.
std::unique_ptr<loaded_model> make_repeat();

/// Sleeps for DELAY (UINT32, one) milliseconds and answers with it as SLEPT; when `stubborn`, without a look at its
/// token, as work that can't be cancelled does.
std::unique_ptr<loaded_model> make_sleep(bool stubborn);

/// What a model does with the numbers of a sequence.
struct sequence_task {
  bool sums = false;     ///< answers the sum so far; else the number, and 1 more at the start
  bool adds_id = false;  ///< and, at the end, the sequence's id more: INVALID_ARGUMENT when that is no number
};

/// Stateful: INPUT to OUTPUT, INT32 of shape [-1, 1], with sums that wrap around. Triton's `simple_sequence`,
/// `simple_dyna_sequence` (adds the id) and `simple_string_dyna_sequence` (adds the id, and sums). A request waits for
/// its parameter `delay_ms` first.
std::unique_ptr<loaded_model> make_sequences(const sequence_task& what);

}  // namespace troupe::triton_examples
