#include "skillsets/sdk/tensor.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace troupe {
namespace {

using namespace std::string_literals;

constexpr auto huge = std::numeric_limits<std::int64_t>::max();

expected<std::int64_t> count(std::vector<std::int64_t> shape) {
  return element_count(shape);
}

TEST(datatype, knows_the_names_and_sizes_of_the_protocol) {
  EXPECT_EQ(parse_datatype("FP32"), datatype::fp32);
  EXPECT_EQ(parse_datatype("BYTES"), datatype::bytes);
  EXPECT_EQ(parse_datatype("fp32"), std::nullopt);
  EXPECT_EQ(parse_datatype("ANY"), std::nullopt);
  EXPECT_EQ(parse_datatype(""), std::nullopt);
  EXPECT_EQ(element_size(datatype::bf16), 2u);
  EXPECT_EQ(element_size(datatype::uint64), 8u);
  EXPECT_EQ(element_size(datatype::bytes), 0u);
  for (auto i = static_cast<int>(datatype::boolean); i <= static_cast<int>(datatype::bytes); ++i)
    EXPECT_EQ(parse_datatype(to_string(static_cast<datatype>(i))), static_cast<datatype>(i));
}

TEST(element_count, multiplies_extents) {
  EXPECT_EQ(*count({}), 1);
  EXPECT_EQ(*count({2, 3, 4}), 24);
  EXPECT_EQ(*count({5, 0}), 0);
  EXPECT_EQ(*count({huge, huge, 0}), 0);
  EXPECT_EQ(*count({huge}), huge);
}

TEST(element_count, refuses_negative_extents_and_overflow) {
  EXPECT_EQ(count({2, -1}).error().cause, "shape [2, -1] has the negative extent -1");
  EXPECT_EQ(count({0, -1}).error().code, status_code::invalid_argument);
  EXPECT_EQ(count({huge, 2}).error().code, status_code::invalid_argument);
  EXPECT_EQ(count({1LL << 32, 1LL << 32}).error().code, status_code::invalid_argument);
}

TEST(bytes, round_trip) {
  std::string data;
  append_bytes(data, "one");
  append_bytes(data, "");
  append_bytes(data, "three\0"s);
  const auto elements = split_bytes(data, 3);
  ASSERT_TRUE(elements);
  EXPECT_EQ(*elements, (std::vector<std::string_view>{"one", "", "three\0"s}));
  EXPECT_TRUE(split_bytes("", 0));
}

TEST(bytes, refuses_what_does_not_add_up) {
  std::string data;
  append_bytes(data, "text");
  EXPECT_FALSE(split_bytes(data, 0));
  EXPECT_FALSE(split_bytes(data, 2));
  EXPECT_FALSE(split_bytes(data, -1));
  EXPECT_FALSE(split_bytes(data, huge));
  EXPECT_FALSE(split_bytes(data.substr(0, 3), 1));
  EXPECT_EQ(split_bytes(data.substr(0, 6), 1).error().cause, "BYTES element 0 claims 4 bytes where 2 are left");
  EXPECT_FALSE(split_bytes("\xff\xff\xff\xffx", 1));
}

TEST(buffer, keeps_its_owner_alive) {
  buffer b;
  {
    const auto inner = buffer::take(std::vector<float>{1, 2});
    b = inner;
  }
  EXPECT_EQ(b.size(), 8u);
  EXPECT_EQ(buffer::take("abc"s).view(), "abc");
}

}  // namespace
}  // namespace troupe
