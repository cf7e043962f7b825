#include "apps/troupe/small_float.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace troupe::cli {
namespace {

constexpr auto infinity = std::numeric_limits<double>::infinity();
constexpr auto nan = std::numeric_limits<double>::quiet_NaN();

/// BF16 as its definition has it: the upper half of a binary32.
double upper_half(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

template <class Check>
void for_all_bits(Check check) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF && !testing::Test::HasFailure(); ++bits)
    check(static_cast<std::uint16_t>(bits));
}

TEST(small_float, every_number_survives_the_round_trip) {
  for (const auto format : {fp16_format, bf16_format})
    for_all_bits([&](std::uint16_t bits) {
      const auto value = widen(bits, format);
      const auto back = narrow(value, format);
      ASSERT_TRUE(back) << bits;
      if (std::isnan(value))
        EXPECT_TRUE(std::isnan(widen(*back, format))) << bits;
      else
        EXPECT_EQ(*back, bits);
    });
}

TEST(small_float, ties_between_neighbours_go_to_the_even_one) {
  for (const auto format : {fp16_format, bf16_format})
    for_all_bits([&](std::uint16_t bits) {
      const auto next = static_cast<std::uint16_t>(bits + 1);
      const auto low = widen(bits, format);
      const auto high = widen(next, format);
      if (!std::isfinite(low) || !std::isfinite(high) || std::signbit(low) != std::signbit(high))
        return;
      const auto middle = (low + high) / 2;  // exact: a double has bits to spare
      EXPECT_EQ(narrow(middle, format), bits % 2 == 0 ? bits : next) << bits;
      EXPECT_EQ(narrow(std::nextafter(middle, low), format), bits) << bits;
      EXPECT_EQ(narrow(std::nextafter(middle, high), format), next) << bits;
    });
}

TEST(small_float, bf16_is_the_upper_half_of_a_binary32) {
  for_all_bits([](std::uint16_t bits) {
    const auto expected = upper_half(bits);
    const auto value = widen(bits, bf16_format);
    if (std::isnan(expected))
      EXPECT_TRUE(std::isnan(value)) << bits;
    else
      EXPECT_EQ(std::bit_cast<std::uint64_t>(value), std::bit_cast<std::uint64_t>(expected)) << bits;
  });
}

TEST(small_float, fp16_has_the_values_of_ieee_754) {
  EXPECT_EQ(widen(0x3C00, fp16_format), 1.0);
  EXPECT_EQ(widen(0xC000, fp16_format), -2.0);
  EXPECT_EQ(widen(0x3555, fp16_format), 1365.0 / 4096);
  EXPECT_EQ(widen(0x7BFF, fp16_format), 65504.0);
  EXPECT_EQ(widen(0x0400, fp16_format), std::ldexp(1, -14)) << "the smallest normal number";
  EXPECT_EQ(widen(0x03FF, fp16_format), std::ldexp(1023, -24)) << "the largest subnormal one";
  EXPECT_EQ(widen(0x0001, fp16_format), std::ldexp(1, -24));
  EXPECT_EQ(widen(0x7C00, fp16_format), infinity);
  EXPECT_EQ(widen(0xFC00, fp16_format), -infinity);
  EXPECT_TRUE(std::isnan(widen(0x7C01, fp16_format)));
  EXPECT_TRUE(std::isnan(widen(0xFFFF, fp16_format)));
}

TEST(small_float, zeros_keep_their_sign) {
  for (const auto format : {fp16_format, bf16_format}) {
    EXPECT_EQ(narrow(0.0, format), 0x0000);
    EXPECT_EQ(narrow(-0.0, format), 0x8000);
    EXPECT_TRUE(std::signbit(widen(0x8000, format)));
    EXPECT_EQ(narrow(-std::numeric_limits<double>::denorm_min(), format), 0x8000) << "the nearest is zero";
  }
}

TEST(small_float, what_is_not_finite_stays_so) {
  for (const auto format : {fp16_format, bf16_format}) {
    EXPECT_EQ(widen(*narrow(infinity, format), format), infinity);
    EXPECT_EQ(widen(*narrow(-infinity, format), format), -infinity);
    EXPECT_TRUE(std::isnan(widen(*narrow(nan, format), format)));
    EXPECT_TRUE(std::isnan(widen(*narrow(-nan, format), format)));
  }
}

TEST(small_float, underflow_rounds_to_the_smallest_subnormal_or_zero) {
  const auto smallest = std::ldexp(1, -24);
  EXPECT_EQ(narrow(smallest / 2, fp16_format), 0x0000) << "a tie";
  EXPECT_EQ(narrow(std::nextafter(smallest / 2, 1), fp16_format), 0x0001);
  EXPECT_EQ(narrow(smallest * 1.5, fp16_format), 0x0002) << "a tie";
  EXPECT_EQ(narrow(-smallest, fp16_format), 0x8001);
  EXPECT_EQ(narrow(std::nextafter(std::ldexp(1, -14), 0), fp16_format), 0x0400) << "carries into the exponent";
}

TEST(small_float, refuses_finite_values_out_of_range) {
  // The halfway point to what would be the next number is a tie, whose even side is out of range.
  EXPECT_EQ(narrow(65520, fp16_format), std::nullopt);
  EXPECT_EQ(narrow(-65520, fp16_format), std::nullopt);
  EXPECT_EQ(narrow(std::nextafter(65520, 0), fp16_format), 0x7BFF);
  EXPECT_EQ(narrow(std::nextafter(-65520, 0), fp16_format), 0xFBFF);
  const auto bf16_limit = std::ldexp(511, 119);
  EXPECT_EQ(narrow(bf16_limit, bf16_format), std::nullopt);
  EXPECT_EQ(narrow(std::nextafter(bf16_limit, 0), bf16_format), 0x7F7F);
  EXPECT_EQ(narrow(std::numeric_limits<float>::max(), bf16_format), std::nullopt) << "nearer to 2^128";
  for (const auto format : {fp16_format, bf16_format}) {
    EXPECT_EQ(narrow(std::numeric_limits<double>::max(), format), std::nullopt);
    EXPECT_EQ(narrow(std::numeric_limits<double>::lowest(), format), std::nullopt);
  }
}

}  // namespace
}  // namespace troupe::cli
