#pragma once

#include <cstdint>
#include <optional>

namespace troupe::cli {

/// The two 16-bit floating-point formats, which C++20 has no types for: IEEE 754 binary16 (FP16), and the upper half
/// of a binary32 (BF16).
struct small_float {
  int exponent_bits;
  int mantissa_bits;
};

inline constexpr small_float fp16_format{5, 10};
inline constexpr small_float bf16_format{8, 7};

/// The bits of the nearest number of the format, ties to even; nothing when a finite `value` is out of its range.
std::optional<std::uint16_t> narrow(double value, small_float format) noexcept;

/// The number that the bits stand for, exactly.
double widen(std::uint16_t bits, small_float format) noexcept;

}  // namespace troupe::cli
