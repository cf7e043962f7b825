#include "apps/troupe/argument.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace troupe::cli {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;
using testing::StartsWith;

using extents = std::vector<std::int64_t>;

constexpr auto biggest = std::numeric_limits<std::int64_t>::max();

/// The parameter that `--param k=VALUE` means.
parameter inferred(const std::string& value) {
  const auto parsed = parse_parameter("k=" + value);
  EXPECT_TRUE(parsed) << value;
  return parsed ? parsed->second : parameter{};
}

/// The parameter that `--param k:TYPE=VALUE` means; nothing when it is refused.
std::optional<parameter> typed(const std::string& type, const std::string& value) {
  const auto parsed = parse_parameter("k:" + type + "=" + value);
  if (parsed)
    return parsed->second;
  EXPECT_EQ(parsed.error().code, status_code::invalid_argument);
  EXPECT_THAT(parsed.error().cause, HasSubstr("has a value that is no " + type));
  return std::nullopt;
}

TEST(parse_input, takes_all_four_parts) {
  const auto input = parse_input("x:FP32[2, 3]=[1,2]");
  ASSERT_TRUE(input);
  EXPECT_EQ(input->name, "x");
  EXPECT_EQ(input->type, datatype::fp32);
  EXPECT_EQ(input->shape, (extents{2, 3}));
  EXPECT_EQ(input->value, "[1,2]");
}

TEST(parse_input, leaves_out_what_is_not_written) {
  const auto plain = parse_input("x=1");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->type, std::nullopt);
  EXPECT_EQ(plain->shape, std::nullopt);
  const auto shaped = parse_input("x[4]=1");
  ASSERT_TRUE(shaped);
  EXPECT_EQ(shaped->name, "x");
  EXPECT_EQ(shaped->type, std::nullopt);
  EXPECT_EQ(shaped->shape, (extents{4}));
}

TEST(parse_input, the_value_is_everything_after_the_first_equals_sign) {
  EXPECT_EQ(parse_input("x=a=b")->value, "a=b");
  EXPECT_EQ(parse_input("x=")->value, "");
  EXPECT_EQ(parse_input("x= ]: ")->value, " ]: ");
  EXPECT_EQ(parse_input("x=@/tmp/a")->value, "@/tmp/a");
  EXPECT_EQ(parse_input("x=\xff\0"s)->value, "\xff\0"s);
}

TEST(parse_input, a_name_may_have_colons_and_brackets) {
  EXPECT_EQ(parse_input("serving_default_x:0=1")->name, "serving_default_x:0");
  EXPECT_EQ(parse_input("a:b:INT8=1")->name, "a:b");
  EXPECT_EQ(parse_input("a:INT8:b=1")->name, "a:INT8:b");
  EXPECT_EQ(parse_input("a:=1")->name, "a:");
  EXPECT_EQ(parse_input("x[0].y=1")->name, "x[0].y");
  EXPECT_EQ(parse_input("x[0][2]=1")->name, "x[0]") << "the last brackets are the shape";
  const auto unknown = parse_input("x:fp32=1");
  EXPECT_EQ(unknown->name, "x:fp32") << "datatypes are spelled as the protocol does";
  EXPECT_EQ(unknown->type, std::nullopt);
  EXPECT_EQ(parse_input("x:ANY=1")->type, std::nullopt);
}

TEST(parse_input, knows_every_datatype) {
  for (auto i = static_cast<int>(datatype::boolean); i <= static_cast<int>(datatype::bytes); ++i) {
    const auto type = static_cast<datatype>(i);
    EXPECT_EQ(parse_input("x:" + std::string{to_string(type)} + "[1]=0")->type, type);
  }
}

TEST(parse_input, reads_shapes) {
  EXPECT_EQ(parse_input("x[]=1")->shape, extents{}) << "a scalar's";
  EXPECT_EQ(parse_input("x[ ]=1")->shape, extents{});
  EXPECT_EQ(parse_input("x[ 1 ,2 ]=1")->shape, (extents{1, 2}));
  EXPECT_EQ(parse_input("x[0]=1")->shape, extents{0});
  EXPECT_EQ(parse_input("x[9223372036854775807]=1")->shape, extents{biggest});
  EXPECT_EQ(parse_input("x[9223372036854775807,9,0]=1")->shape, (extents{biggest, 9, 0})) << "has no elements";
}

TEST(parse_input, refuses_shapes_that_are_not_lists_of_extents) {
  for (const auto* bad : {"-1", "a", "1,", ",1", ",", "1,,2", "1 2", "1.5", "0x10", "+1", "1;2", "\t1",
                          "9223372036854775808", "99999999999999999999999"}) {
    const auto input = parse_input("x["s + bad + "]=1");
    ASSERT_FALSE(input) << bad;
    EXPECT_EQ(input.error().code, status_code::invalid_argument);
    EXPECT_THAT(input.error().cause, HasSubstr("["s + bad + "], which is not a list of extents"));
  }
  EXPECT_THAT(parse_input("x2]=1").error().cause, HasSubstr("has a shape without '['"));
}

TEST(parse_input, refuses_shapes_that_63_bits_cannot_count) {
  for (const auto* bad : {"4294967296,2147483648", "9223372036854775807,2"}) {
    const auto input = parse_input("x["s + bad + "]=1");
    ASSERT_FALSE(input) << bad;
    EXPECT_EQ(input.error().code, status_code::invalid_argument);
    EXPECT_THAT(input.error().cause, HasSubstr("more elements than 63 bits can count"));
  }
  EXPECT_TRUE(parse_input("x[4294967296,2147483647]=1"));
}

TEST(parse_input, needs_a_name_and_an_equals_sign) {
  for (const auto* bad : {"", "x", "x:FP32[2]", "[1,2]"})
    EXPECT_THAT(parse_input(bad).error().cause, HasSubstr("has no '='")) << bad;
  for (const auto* bad : {"=", "=1", ":FP32=1", "[2]=1", ":FP32[2]=1"})
    EXPECT_THAT(parse_input(bad).error().cause, HasSubstr("has no name")) << bad;
  EXPECT_THAT(parse_input("").error().remedy, StartsWith("write NAME[:DATATYPE][SHAPE]=VALUE"));
}

TEST(parse_input, an_error_shows_only_the_beginning_of_a_huge_argument) {
  EXPECT_LT(parse_input(std::string(1 << 20, 'x')).error().message().size(), 300u);
  EXPECT_LT(parse_parameter(std::string(1 << 20, 'x')).error().message().size(), 300u);
}

TEST(parse_parameter, infers_the_type) {
  EXPECT_EQ(inferred("true"), parameter{true});
  EXPECT_EQ(inferred("false"), parameter{false});
  EXPECT_EQ(inferred("0"), parameter{std::int64_t{0}});
  EXPECT_EQ(inferred("-9223372036854775808"), parameter{std::numeric_limits<std::int64_t>::min()});
  EXPECT_EQ(inferred("9223372036854775807"), parameter{biggest});
  EXPECT_EQ(inferred("9223372036854775808"), parameter{std::uint64_t{1} << 63});
  EXPECT_EQ(inferred("18446744073709551615"), parameter{std::numeric_limits<std::uint64_t>::max()});
  EXPECT_EQ(inferred("0.5"), parameter{0.5});
  EXPECT_EQ(inferred("-1e3"), parameter{-1000.0});
  EXPECT_EQ(inferred(".5"), parameter{0.5});
  EXPECT_EQ(inferred("5."), parameter{5.0});
}

TEST(parse_parameter, everything_else_is_a_string) {
  for (const auto* word :
       {"",   "True", "TRUE",  "yes",        "nan", "inf", "-inf", "infinity", "0x10",  "1 ",  " 1",
        "+1", "1,5",  "1.2.3", "2024-01-01", "1e",  "-",   ".",    "null",     "\"x\"", "a=b", "caf\xc3\xa9"})
    EXPECT_EQ(inferred(word), parameter{std::string{word}}) << word;
  EXPECT_EQ(inferred("a\0b"s), parameter{"a\0b"s});
}

TEST(parse_parameter, takes_the_type_that_is_written) {
  EXPECT_EQ(typed("string", "5"), parameter{"5"s});
  EXPECT_EQ(typed("string", ""), parameter{""s});
  EXPECT_EQ(typed("double", "5"), parameter{5.0});
  EXPECT_EQ(typed("uint64", "5"), parameter{std::uint64_t{5}});
  EXPECT_EQ(typed("int64", "-5"), parameter{std::int64_t{-5}});
  EXPECT_EQ(typed("bool", "true"), parameter{true});
  EXPECT_EQ(typed("bool", "false"), parameter{false});
  EXPECT_EQ(typed("double", "-inf"), parameter{-std::numeric_limits<double>::infinity()});
  EXPECT_TRUE(std::isnan(std::get<double>(typed("double", "nan").value())));
}

TEST(parse_parameter, refuses_values_that_are_not_of_the_written_type) {
  for (const auto* bad : {"", "1", "True", "yes"})
    EXPECT_FALSE(typed("bool", bad)) << bad;
  for (const auto* bad : {"", "1.0", "9223372036854775808", "-9223372036854775809", "true", "1 ", "0x1"})
    EXPECT_FALSE(typed("int64", bad)) << bad;
  for (const auto* bad : {"", "-1", "18446744073709551616", "1.0"})
    EXPECT_FALSE(typed("uint64", bad)) << bad;
  for (const auto* bad : {"", "1e400", "0x1p3", "1.0f", "one"})
    EXPECT_FALSE(typed("double", bad)) << bad;
}

TEST(parse_parameter, a_key_may_have_colons) {
  EXPECT_EQ(parse_parameter("a:b=1")->first, "a:b");
  EXPECT_EQ(parse_parameter("a:b:int64=1")->first, "a:b");
  EXPECT_EQ(parse_parameter("a:=1")->first, "a:");
  EXPECT_EQ(parse_parameter("a:INT64=1")->first, "a:INT64") << "no parameter type's name";
}

TEST(parse_parameter, needs_a_key_and_an_equals_sign) {
  for (const auto* bad : {"", "k", "k:int64"})
    EXPECT_THAT(parse_parameter(bad).error().cause, HasSubstr("has no '='")) << bad;
  for (const auto* bad : {"=", "=1", ":int64=1"})
    EXPECT_THAT(parse_parameter(bad).error().cause, HasSubstr("has no key")) << bad;
  EXPECT_EQ(parse_parameter("=1").error().code, status_code::invalid_argument);
}

}  // namespace
}  // namespace troupe::cli
