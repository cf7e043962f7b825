#include "apps/troupe/encode.hpp"

#include "apps/troupe/format.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include <unistd.h>

namespace troupe::cli {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using extents = std::vector<std::int64_t>;

/// What `--input ARGUMENT` means to a model that declares `model`.
expected<tensor> encoded(const std::string& argument, const declared_input& model = {}) {
  const auto input = parse_input(argument);
  EXPECT_TRUE(input) << argument;
  return input ? encode(*input, model) : input.error();
}

/// The tensor, or a failed test and a tensor without anything.
tensor made(const std::string& argument, const declared_input& model = {}) {
  auto result = encoded(argument, model);
  EXPECT_TRUE(result) << argument << " " << to_string(result.error());
  return result ? *std::move(result) : tensor{};
}

/// Why the argument is refused; it must be.
error refusal(const std::string& argument, const declared_input& model = {}) {
  const auto result = encoded(argument, model);
  EXPECT_FALSE(result) << argument;
  return result ? error{} : result.error();
}

template <class T>
std::vector<T> elements(const tensor& t) {
  EXPECT_EQ(t.data.size() % sizeof(T), 0u);
  std::vector<T> result(t.data.size() / sizeof(T));
  std::memcpy(result.data(), t.data.bytes().data(), result.size() * sizeof(T));
  return result;
}

std::vector<std::string> texts(const tensor& t) {
  const auto views = split_bytes(t.data.view(), *element_count(t.shape));
  EXPECT_TRUE(views);
  return views ? std::vector<std::string>(views->begin(), views->end()) : std::vector<std::string>{};
}

template <class T>
void expect_range(const std::string& type) {
  const auto low = std::to_string(std::numeric_limits<T>::min());
  const auto high = std::to_string(std::numeric_limits<T>::max());
  const auto both = made("x:" + type + "=[" + low + "," + high + "]");
  EXPECT_THAT(elements<T>(both), ElementsAre(std::numeric_limits<T>::min(), std::numeric_limits<T>::max())) << type;
  std::vector<std::string> bad{"1.0", "1e0", "true", "null", "\"1\"", "{}", "99999999999999999999"};
  if (sizeof(T) < 8) {
    bad.push_back(std::to_string(static_cast<std::int64_t>(std::numeric_limits<T>::max()) + 1));
    bad.push_back(std::to_string(static_cast<std::int64_t>(std::numeric_limits<T>::min()) - 1));
  }
  for (const auto& value : bad) {
    const auto why = refusal("x:" + type + "=[0," + value + "]");
    EXPECT_EQ(why.code, status_code::invalid_argument);
    EXPECT_THAT(why.cause, HasSubstr("input 'x': element 1 is ")) << value;
    EXPECT_THAT(why.cause, HasSubstr(", which is no " + type)) << value;
  }
}

/// A file with `bytes`, removed at the end.
struct temporary_file {
  explicit temporary_file(const std::string& bytes)
      : path(testing::TempDir() + "troupe_encode_" + std::to_string(::getpid())) {
    std::ofstream{path, std::ios::binary} << bytes;
  }
  ~temporary_file() { std::filesystem::remove(path); }
  std::string path;
};

TEST(needs_declaration, is_true_unless_the_argument_says_it_all) {
  EXPECT_TRUE(needs_declaration(*parse_input("x=1")));
  EXPECT_TRUE(needs_declaration(*parse_input("x:FP32=1")));
  EXPECT_TRUE(needs_declaration(*parse_input("x[1]=1")));
  EXPECT_FALSE(needs_declaration(*parse_input("x:FP32[1]=1")));
  EXPECT_FALSE(needs_declaration(*parse_input("x:FP32[]=1")));
}

TEST(encode, takes_the_datatype_of_the_argument_then_the_models_then_the_jsons) {
  const declared_input model{datatype::fp32, {-1}};
  EXPECT_EQ(made("x:FP64=1", model).type, datatype::fp64);
  EXPECT_EQ(made("x=1", model).type, datatype::fp32);
  EXPECT_EQ(made("x=1", {datatype::any, {}}).type, datatype::int64);
  EXPECT_EQ(made("x=1").type, datatype::int64);
  EXPECT_EQ(made("x=1").name, "x");
}

TEST(encode, tells_the_datatype_from_json) {
  EXPECT_EQ(made("x=[true,false]").type, datatype::boolean);
  EXPECT_EQ(made("x=[1,-2]").type, datatype::int64);
  EXPECT_EQ(made("x=9223372036854775807").type, datatype::int64);
  EXPECT_EQ(made("x=[1,9223372036854775808]").type, datatype::uint64);
  EXPECT_EQ(made("x=[1,2.5]").type, datatype::fp64);
  EXPECT_EQ(made("x=1.0").type, datatype::fp64);
  EXPECT_EQ(made(R"(x=["a",{"b64":"AA=="}])").type, datatype::bytes);
  EXPECT_EQ(made("x=some text").type, datatype::bytes);
  EXPECT_EQ(made("x=").type, datatype::bytes);
}

TEST(encode, refuses_json_whose_datatype_cannot_be_told) {
  for (const auto* value :
       {"[]", "[[],[]]", "null", "{}", "[1,\"a\"]", "[1,true]", "[\"NaN\",1]", "[{\"b64\":\"!\"}]"}) {
    const auto why = refusal("x="s + value);
    EXPECT_EQ(why.code, status_code::invalid_argument) << value;
    EXPECT_EQ(why.cause, "input 'x': the datatype can't be told from the value") << value;
    EXPECT_EQ(why.remedy, "write NAME:DATATYPE=VALUE");
  }
}

TEST(encode, does_not_guess_a_datatype_that_loses_digits) {
  // FP64 holds integers up to 2^53 without gaps, and even ones up to the double of it.
  EXPECT_THAT(elements<double>(made("x=[9007199254740992,-9007199254740994,0.5]")),
              ElementsAre(9007199254740992.0, -9007199254740994.0, 0.5));
  for (const auto* value :
       {"[9007199254740993,0.5]", "[-9007199254740993,0.5]", "[-1,18446744073709551615]", "[9223372036854775807,0.5]"})
    EXPECT_EQ(refusal("x="s + value).cause, "input 'x': the datatype can't be told from the value") << value;
  EXPECT_EQ(made("x:FP64=9007199254740993").type, datatype::fp64) << "asked for";
}

TEST(encode, holds_the_whole_range_of_each_integer_type_and_nothing_else) {
  expect_range<std::uint8_t>("UINT8");
  expect_range<std::uint16_t>("UINT16");
  expect_range<std::uint32_t>("UINT32");
  expect_range<std::uint64_t>("UINT64");
  expect_range<std::int8_t>("INT8");
  expect_range<std::int16_t>("INT16");
  expect_range<std::int32_t>("INT32");
  expect_range<std::int64_t>("INT64");
  EXPECT_EQ(refusal("x:UINT64=-1").cause, "input 'x': element 0 is -1, which is no UINT64");
  EXPECT_EQ(refusal("x:INT64=9223372036854775808").cause,
            "input 'x': element 0 is 9223372036854775808, which is no INT64");
}

TEST(encode, booleans_are_true_and_false_alone) {
  EXPECT_THAT(elements<std::uint8_t>(made("x:BOOL=[true,false]")), ElementsAre(1, 0));
  for (const auto* bad : {"1", "0", "True", "\"true\"", "null"})
    EXPECT_THAT(refusal("x:BOOL="s + bad).cause, HasSubstr("which is no BOOL")) << bad;
}

TEST(encode, floats_take_integers_and_names_of_what_is_not_finite) {
  EXPECT_THAT(elements<float>(made("x:FP32=[1,-0.5,1e-45]")), ElementsAre(1.F, -0.5F, 1e-45F));
  const auto special = elements<double>(made(R"(x:FP64=["NaN","Infinity","-Infinity"])"));
  EXPECT_TRUE(std::isnan(special[0]));
  EXPECT_EQ(special[1], std::numeric_limits<double>::infinity());
  EXPECT_EQ(special[2], -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isinf(elements<float>(made("x:FP32=-Infinity"))[0])) << "without quotes as well";
  EXPECT_THAT(elements<std::uint16_t>(made(R"(x:FP16=[1,-2,"Infinity"])")), ElementsAre(0x3C00, 0xC000, 0x7C00));
  EXPECT_THAT(elements<std::uint16_t>(made(R"(x:BF16=[1,-2,"-Infinity"])")), ElementsAre(0x3F80, 0xC000, 0xFF80));
  for (const auto* type : {"FP16", "BF16", "FP32", "FP64"})
    for (const auto* bad : {"true", "null", "\"nan\"", "\"1\"", "inf", "{}", "one"})
      EXPECT_THAT(refusal("x:"s + type + "=" + bad).cause, HasSubstr("which is no "s + type)) << bad;
}

TEST(encode, floats_out_of_range_are_no_infinities) {
  EXPECT_EQ(refusal("x:FP16=[0,65520]").cause, "input 'x': element 1 is 65520, which is no FP16");
  EXPECT_THAT(elements<std::uint16_t>(made("x:FP16=65519.9")), ElementsAre(0x7BFF));
  EXPECT_THAT(refusal("x:BF16=3.4e38").cause, HasSubstr("which is no BF16"));
  EXPECT_THAT(refusal("x:FP32=-3.5e38").cause, HasSubstr("which is no FP32"));
  EXPECT_THAT(elements<float>(made("x:FP32=3.4028235e38")), ElementsAre(std::numeric_limits<float>::max()));
  EXPECT_THAT(refusal("x:FP64=1e400").cause, HasSubstr("which is no FP64"));
  EXPECT_THAT(refusal("x:FP64=[1e400]").cause, HasSubstr("1e400"));
}

TEST(encode, text_needs_no_quotes) {
  EXPECT_THAT(texts(made("x:BYTES=some text")), ElementsAre("some text"));
  EXPECT_THAT(texts(made("x:BYTES=")), ElementsAre(""));
  EXPECT_THAT(texts(made("x:BYTES= 5 ")), ElementsAre(" 5 "));
  EXPECT_THAT(texts(made("x=true", {datatype::bytes, {1}})), ElementsAre("true"));
  EXPECT_THAT(texts(made("x=\xff\xfe")), ElementsAre("\xff\xfe")) << "bytes that are no UTF-8";
  EXPECT_THAT(texts(made(R"(x:BYTES=["a","\u00e9\u0000","@b"])")), ElementsAre("a", "\u00e9\0"s, "@b"));
  EXPECT_THAT(texts(made(R"(x:BYTES="@b")")), ElementsAre("@b"));
}

TEST(encode, base64_gives_bytes_that_json_cannot) {
  std::string all;
  for (int c = 0; c <= 0xFF; ++c)
    all += static_cast<char>(c);
  EXPECT_THAT(texts(made("x:BYTES={\"b64\":\"" + to_base64(all) + "\"}")), ElementsAre(all));
  EXPECT_THAT(texts(made(R"(x:BYTES=[{"b64":""},"a"])")), ElementsAre("", "a"));
  for (const auto* bad : {R"({"b64":"A"})", R"({"b64":5})", R"({"b64":"","x":1})", R"({"B64":""})", "{}"})
    EXPECT_THAT(refusal("x:BYTES="s + bad).cause, HasSubstr("which is no BYTES")) << bad;
  EXPECT_THAT(refusal("x:BYTES=[1]").cause, HasSubstr("element 0 is 1, which is no BYTES"));
}

TEST(encode, what_begins_like_json_must_be_json) {
  for (const auto* bad : {"[1", "[1,]", "[1]]", " [1] x", "{\"a\"", "\"a", "[NaN]", "[01]", "[1 2]", "['a']",
                          "[\"\xff\"]", "[\"\\ud800\"]", "[\"a\nb\"]"}) {
    for (const auto* type : {"", ":BYTES", ":FP32"}) {
      const auto why = refusal("x"s + type + "=" + bad);
      EXPECT_EQ(why.code, status_code::invalid_argument);
      EXPECT_THAT(why.cause, HasSubstr("input 'x': the value is not JSON: ")) << bad;
    }
  }
}

TEST(encode, the_shape_is_that_of_the_lists) {
  EXPECT_THAT(made("x=1").shape, IsEmpty());
  EXPECT_THAT(made("x=[1]").shape, ElementsAre(1));
  EXPECT_THAT(made("x=[[1,2,3],[4,5,6]]").shape, ElementsAre(2, 3));
  EXPECT_THAT(elements<std::int64_t>(made("x=[[1,2,3],[4,5,6]]")), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(made("x:FP32=[]").shape, ElementsAre(0));
  EXPECT_THAT(made("x:FP32=[[],[]]").shape, ElementsAre(2, 0));
  EXPECT_EQ(made("x:FP32=[[],[]]").data.size(), 0u);
}

TEST(encode, refuses_ragged_lists) {
  for (const auto* bad :
       {"[[1],[2,3]]", "[[1],2]", "[1,[2]]", "[[],[1]]", "[[1],[]]", "[[[1]],[[2],[3]]]", "[[1],{}]"}) {
    const auto why = refusal("x:FP32="s + bad);
    EXPECT_EQ(why.code, status_code::invalid_argument);
    EXPECT_THAT(why.cause, HasSubstr("the lists are not equally long at depth ")) << bad;
  }
}

TEST(encode, the_arguments_shape_must_have_as_many_elements) {
  EXPECT_THAT(made("x[2,3]=[1,2,3,4,5,6]").shape, ElementsAre(2, 3));
  EXPECT_THAT(made("x[2,3]=[[1,2,3],[4,5,6]]").shape, ElementsAre(2, 3));
  EXPECT_THAT(made("x[1,1]=5").shape, ElementsAre(1, 1));
  EXPECT_THAT(made("x[]=5").shape, IsEmpty());
  EXPECT_THAT(made("x[]=[5]").shape, IsEmpty());
  EXPECT_THAT(made("x:FP32[9223372036854775807,0]=[]").shape, ElementsAre(9223372036854775807, 0));
  EXPECT_EQ(refusal("x[2,3]=[1,2]").cause, "input 'x': shape [2, 3] has 6 elements, the value 2");
  EXPECT_EQ(refusal("x[9223372036854775807]=1").code, status_code::invalid_argument) << "nothing is allocated";
  EXPECT_EQ(refusal("x[3,2]=[[1,2,3],[4,5,6]]").cause, "input 'x': the lists have the shape [2, 3], not [3, 2]");
  EXPECT_EQ(refusal("x[6]=[[1,2,3],[4,5,6]]").cause, "input 'x': the lists have the shape [2, 3], not [6]");
}

TEST(encode, refuses_a_shape_that_63_bits_cannot_count) {
  // parse_input refuses it as well; encode must not rely on that.
  const input_argument input{"x", datatype::fp32, extents{1LL << 32, 1LL << 31}, "1"};
  const auto result = encode(input, {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, status_code::invalid_argument);
  EXPECT_THAT(result.error().cause, HasSubstr("more elements than 63 bits can count"));
  const input_argument negative{"x", datatype::fp32, extents{-1}, "1"};
  EXPECT_FALSE(encode(negative, {}));
}

TEST(encode, a_flat_value_takes_the_models_shape) {
  const auto shape = [](const std::string& value, extents model) {
    return made("x:FP32=" + value, {datatype::fp32, std::move(model)}).shape;
  };
  EXPECT_THAT(shape("1", {-1}), ElementsAre(1));
  EXPECT_THAT(shape("1", {-1, -1}), ElementsAre(1, 1)) << "fits in one way";
  EXPECT_THAT(shape("[1]", {-1, -1}), ElementsAre(1, 1)) << "so does a list of one";
  EXPECT_THAT(shape("[1,2,3]", {-1, -1, 3}), ElementsAre(1, 1, 3));
  EXPECT_THAT(shape("[1,2,3,4]", {-1, 2}), ElementsAre(2, 2));
  EXPECT_THAT(shape("[1,2]", {-1, 2}), ElementsAre(1, 2));
  EXPECT_THAT(shape("[1,2]", {1, 2}), ElementsAre(1, 2));
  EXPECT_THAT(shape("[]", {-1, 2}), ElementsAre(0, 2));
  EXPECT_THAT(shape("[]", {0, 2}), ElementsAre(0, 2));
}

TEST(encode, a_value_that_does_not_fit_the_models_shape_in_one_way_keeps_its_own) {
  const auto shape = [](const std::string& value, extents model) {
    return made("x:FP32=" + value, {datatype::fp32, std::move(model)}).shape;
  };
  EXPECT_THAT(shape("[1,2]", {-1, -1}), ElementsAre(2)) << "[1, 2] or [2, 1]";
  EXPECT_THAT(shape("[]", {-1, 0}), ElementsAre(0)) << "any number of empty rows";
  EXPECT_THAT(shape("[1,2,3]", {-1, 2}), ElementsAre(3));
  EXPECT_THAT(shape("[1,2]", {3}), ElementsAre(2));
  EXPECT_THAT(shape("1", {}), IsEmpty());
  EXPECT_THAT(shape("1", {0}), IsEmpty());
  EXPECT_THAT(shape("[[1,2]]", {-1}), ElementsAre(1, 2)) << "nested lists say what they mean";
  EXPECT_THAT(shape("1", {1LL << 32, 1LL << 32}), IsEmpty()) << "a model that declares nonsense";
}

TEST(encode, lists_may_be_nested_as_deep_as_anybody_needs) {
  const auto nested = [](std::size_t depth) {
    return "x:FP32=" + std::string(depth, '[') + "1" + std::string(depth, ']');
  };
  EXPECT_EQ(made(nested(32)).shape, extents(32, 1));
  EXPECT_EQ(refusal(nested(33)).cause, "input 'x': lists are nested deeper than 32");
}

TEST(encode, absurdly_deep_json_is_refused_without_a_stack_overflow) {
  constexpr std::size_t depth = 200'000;
  const auto repeat = [](std::string_view text) {
    std::string all;
    for (std::size_t i = 0; i != depth; ++i)
      all += text;
    return all;
  };
  const auto lists = repeat("[") + repeat("]");
  const auto objects = repeat("{\"\":") + "1" + repeat("}");
  EXPECT_THAT(refusal("x=" + lists).cause, HasSubstr("nested deeper than 32"));
  EXPECT_THAT(refusal("x=" + repeat("[")).cause, HasSubstr("the value is not JSON"));
  EXPECT_THAT(refusal("x=" + repeat("{\"\":[")).cause, HasSubstr("the value is not JSON"));
  EXPECT_THAT(refusal("x=" + objects).cause, HasSubstr("can't be told"));
  EXPECT_THAT(refusal("x=[1," + lists + "]").cause, HasSubstr("not equally long"));
  for (const auto* type : {"BYTES", "FP32", "INT8", "BOOL"}) {
    EXPECT_THAT(refusal("x:"s + type + "=" + objects).cause, HasSubstr("which is no "s + type));
    EXPECT_THAT(refusal("x:"s + type + "=[{\"b64\":" + lists + "}]").cause, HasSubstr("which is no "s + type));
  }
}

TEST(encode, an_error_shows_only_the_beginning_of_a_huge_element) {
  const auto why = refusal("x:FP32=[\"" + std::string(1 << 20, 'x') + "\"]");
  EXPECT_THAT(why.cause, HasSubstr("element 0 is \"xxx"));
  EXPECT_LT(why.cause.size(), 200u);
  EXPECT_EQ(refusal("x:FP32=\x1b[2J\xff").cause.find('\x1b'), std::string::npos);
}

TEST(encode, a_file_gives_raw_contents) {
  const temporary_file file{"\0\0\x80\x3f\0\0\0\xc0"s};
  const auto floats = made("x:FP32=@" + file.path);
  EXPECT_THAT(elements<float>(floats), ElementsAre(1.F, -2.F));
  EXPECT_THAT(floats.shape, ElementsAre(2));
  EXPECT_THAT(made("x:FP32[2,1]=@" + file.path).shape, ElementsAre(2, 1));
  EXPECT_THAT(made("x=@" + file.path, {datatype::uint8, {-1, 4}}).shape, ElementsAre(2, 4));
  EXPECT_EQ(made("x:BYTES=@" + file.path).data.size(), 4 + 8u);
  EXPECT_THAT(texts(made("x:BYTES=@" + file.path)), ElementsAre("\0\0\x80\x3f\0\0\0\xc0"s)) << "one element";
  EXPECT_THAT(made("x=@" + file.path, {datatype::bytes, {-1}}).shape, ElementsAre(1));
  EXPECT_EQ(refusal("x:FP32[3]=@" + file.path).cause, "input 'x': shape [3] has 3 elements, the value 2");
  EXPECT_EQ(refusal("x:BYTES[2]=@" + file.path).cause, "input 'x': shape [2] has 2 elements, the value 1");
}

TEST(encode, a_file_may_be_empty_or_larger_than_one_read) {
  const temporary_file empty{""};
  EXPECT_THAT(made("x:FP32=@" + empty.path).shape, ElementsAre(0));
  EXPECT_THAT(texts(made("x:BYTES=@" + empty.path)), ElementsAre(""));
  const temporary_file large{std::string(200'000, 'a') + "b"};
  EXPECT_EQ(made("x:BYTES=@" + large.path).data.view().substr(4), std::string(200'000, 'a') + "b");
}

TEST(encode, a_file_needs_a_datatype_and_whole_elements) {
  const temporary_file file{"12345"};
  EXPECT_EQ(refusal("x=@" + file.path).remedy, "write NAME:DATATYPE=@FILE");
  EXPECT_EQ(refusal("x:FP32=@" + file.path).cause,
            "input 'x': the file has 5 bytes, which are no whole elements of FP32");
}

TEST(encode, a_file_that_cannot_be_read_is_not_found) {
  const auto missing = refusal("x:FP32=@/no/such/file");
  EXPECT_EQ(missing.code, status_code::not_found);
  EXPECT_EQ(missing.cause, "input 'x': file '/no/such/file' can't be read: No such file or directory");
  EXPECT_EQ(refusal("x:FP32=@").code, status_code::not_found);
  const auto directory = refusal("x:FP32=@/");
  EXPECT_EQ(directory.code, status_code::not_found);
  EXPECT_THAT(directory.cause, HasSubstr("Is a directory"));
  EXPECT_EQ(refusal("x:FP32=@/proc/self/mem").code, status_code::not_found) << "opens, but doesn't read";
}

}  // namespace
}  // namespace troupe::cli
