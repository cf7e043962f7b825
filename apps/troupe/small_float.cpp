#include "apps/troupe/small_float.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace troupe::cli {
namespace {

constexpr std::uint32_t sign_bit = 0x8000;

constexpr int bias(small_float format) noexcept {
  return (1 << (format.exponent_bits - 1)) - 1;
}

/// The bits of infinity; a not-a-number has mantissa bits on top of them.
constexpr std::uint32_t infinity(small_float format) noexcept {
  return ((1u << format.exponent_bits) - 1) << format.mantissa_bits;
}

}  // namespace

std::optional<std::uint16_t> narrow(double value, small_float format) noexcept {
  const auto sign = std::signbit(value) ? sign_bit : 0u;
  if (std::isnan(value))
    return static_cast<std::uint16_t>(sign | infinity(format) | 1u << (format.mantissa_bits - 1));
  if (std::isinf(value))
    return static_cast<std::uint16_t>(sign | infinity(format));
  // Subnormal numbers share the smallest exponent, and have no implicit leading one: the sum below covers both, and
  // a mantissa that rounds up to the next power of two carries into the exponent.
  const int smallest = 1 - bias(format);
  const int exponent = value == 0 ? smallest : std::max(std::ilogb(value), smallest);
  const auto mantissa = std::nearbyint(std::scalbn(std::fabs(value), format.mantissa_bits - exponent));
  const auto whole = static_cast<std::int64_t>(exponent - smallest) << format.mantissa_bits;
  const auto bits = whole + static_cast<std::int64_t>(mantissa);
  if (bits >= static_cast<std::int64_t>(infinity(format)))
    return std::nullopt;
  return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(bits));
}

double widen(std::uint16_t bits, small_float format) noexcept {
  const double sign = (bits & sign_bit) != 0 ? -1 : 1;
  const auto magnitude = bits & ~sign_bit;
  if (magnitude > infinity(format))
    return std::numeric_limits<double>::quiet_NaN();
  if (magnitude == infinity(format))
    return sign * std::numeric_limits<double>::infinity();
  const auto exponent = static_cast<int>(magnitude >> format.mantissa_bits);
  auto mantissa = static_cast<int>(magnitude & ((1u << format.mantissa_bits) - 1));
  if (exponent != 0)
    mantissa += 1 << format.mantissa_bits;
  return sign * std::scalbn(mantissa, std::max(exponent, 1) - bias(format) - format.mantissa_bits);
}

}  // namespace troupe::cli
