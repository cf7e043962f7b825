#include "skillsets/sdk/validate.hpp"

#include <gmock/gmock.h>

#include <limits>

namespace troupe {
namespace {

tensor floats(std::string name, std::vector<std::int64_t> shape, std::size_t count) {
  return {std::move(name), datatype::fp32, std::move(shape), buffer::take(std::vector<float>(count))};
}

tensor text(std::vector<std::int64_t> shape, std::vector<std::string> elements) {
  std::string data;
  for (const auto& element : elements)
    append_bytes(data, element);
  return {"text", datatype::bytes, std::move(shape), buffer::take(std::move(data))};
}

const signature two{{{"a", datatype::fp32, {-1, 2}}, {"b", datatype::fp32, {3}}}, {}, false};
const signature texts{{{"text", datatype::bytes, {-1}}}, {}, true};

error refused(std::vector<tensor> inputs, const signature& s, std::int64_t most = 8) {
  const auto result = validate_inputs(inputs, s, most);
  EXPECT_FALSE(result);
  return result ? error{} : result.error();
}

TEST(validate_inputs, accepts_any_order_and_restores_the_signatures) {
  std::vector<tensor> inputs{floats("b", {3}, 3), floats("a", {5, 2}, 10)};
  ASSERT_TRUE(validate_inputs(inputs, two, 1));
  EXPECT_EQ(inputs[0].name, "a");
  EXPECT_EQ(inputs[1].name, "b");
}

TEST(validate_inputs, names_what_is_missing_extra_or_twice) {
  EXPECT_EQ(refused({floats("a", {1, 2}, 2)}, two).message(), "input 'b' is missing; the model takes 'a', 'b'");
  EXPECT_EQ(refused({}, two).code, status_code::invalid_argument);
  EXPECT_EQ(refused({floats("a", {1, 2}, 2), floats("b", {3}, 3), floats("c", {3}, 3)}, two).cause,
            "input 'c' is not known");
  EXPECT_EQ(refused({floats("a", {1, 2}, 2), floats("b", {3}, 3), floats("a", {1, 2}, 2)}, two).cause,
            "input 'a' is there twice");
  EXPECT_EQ(refused({floats("x", {1, 2}, 2), floats("b", {3}, 3)}, two).cause, "input 'a' is missing");
}

TEST(validate_inputs, holds_shapes_against_the_signature) {
  const auto with_a = [](std::vector<std::int64_t> shape, std::size_t count) {
    return refused({floats("a", std::move(shape), count), floats("b", {3}, 3)}, two);
  };
  EXPECT_EQ(with_a({2, 3}, 6).message(), "input 'a' has shape [2, 3]; the model takes [-1, 2], where -1 is any extent");
  EXPECT_EQ(with_a({2}, 2).code, status_code::invalid_argument);
  EXPECT_EQ(with_a({-1, 2}, 2).code, status_code::invalid_argument);
  EXPECT_EQ(with_a({std::numeric_limits<std::int64_t>::max(), 2}, 2).code, status_code::invalid_argument);
}

TEST(validate_inputs, holds_bytes_against_the_shape) {
  const auto e = refused({floats("a", {2, 2}, 3), floats("b", {3}, 3)}, two);
  EXPECT_EQ(e.cause, "input 'a' of shape [2, 2] and datatype FP32 needs 4 x 4 bytes, but has 12");
  EXPECT_EQ(refused({floats("a", {2, 2}, 5), floats("b", {3}, 3)}, two).code, status_code::invalid_argument);
  // The number of bytes overflows although the number of elements does not.
  EXPECT_EQ(refused({floats("a", {1LL << 61, 2}, 2), floats("b", {3}, 3)}, two).code, status_code::invalid_argument);
}

TEST(validate_inputs, refuses_another_datatype) {
  tensor a{"a", datatype::int32, {1, 2}, buffer::take(std::vector<std::int32_t>(2))};
  EXPECT_EQ(refused({a, floats("b", {3}, 3)}, two).message(), "input 'a' has datatype INT32; the model takes FP32");
}

TEST(validate_inputs, checks_bytes_elements) {
  std::vector<tensor> good{text({2}, {"one", ""})};
  EXPECT_TRUE(validate_inputs(good, texts, 8));
  EXPECT_EQ(refused({text({3}, {"one", "two"})}, texts).code, status_code::invalid_argument);
  EXPECT_EQ(refused({text({1}, {"one", "two"})}, texts).code, status_code::invalid_argument);
}

TEST(validate_inputs, bounds_the_items_of_a_request) {
  EXPECT_EQ(refused({text({3}, {"a", "b", "c"})}, texts, 2).code, status_code::resource_exhausted);
  EXPECT_EQ(refused({text({}, {"a"})}, texts).code, status_code::invalid_argument);
  const signature pair{{{"a", datatype::fp32, {-1}}, {"b", datatype::fp32, {-1}}}, {}, true};
  EXPECT_EQ(refused({floats("a", {2}, 2), floats("b", {3}, 3)}, pair).cause,
            "input 'b' has 3 items where input 'a' has 2");
}

TEST(validate_inputs, any_type_and_rank_means_so) {
  const signature any{{{"x", datatype::any, {}, true}}, {}, false};
  for (const auto& shape : {std::vector<std::int64_t>{}, {0}, {2, 1, 1}}) {
    std::vector<tensor> inputs{floats("x", shape, static_cast<std::size_t>(*element_count(shape)))};
    EXPECT_TRUE(validate_inputs(inputs, any, 1));
  }
}

TEST(validate_outputs, accepts_what_the_signature_says) {
  const signature what{{}, {{"y", datatype::fp32, {-1, 2}}, {"text", datatype::any, {}, true}}, false};
  EXPECT_TRUE(validate_outputs({floats("y", {3, 2}, 6), text({1}, {"one"})}, what));
}

TEST(validate_outputs, names_what_is_wrong) {
  const signature what{{}, {{"y", datatype::fp32, {-1, 2}}}, false};
  const auto cause = [&](std::vector<tensor> outputs) {
    const auto checked = validate_outputs(outputs, what);
    EXPECT_EQ(checked.error().code, status_code::internal);
    return checked.error().cause;
  };
  EXPECT_EQ(cause({}), "the skillset gave 0 outputs, not 1");
  EXPECT_EQ(cause({floats("x", {1, 2}, 2)}), "the skillset gave output 'x', which stands where 'y' should");
  EXPECT_EQ(cause({text({1, 2}, {"a", "b"})}), "the skillset gave output 'text', which stands where 'y' should");
  EXPECT_EQ(cause({floats("y", {2, 3}, 6)}), "the skillset gave output 'y', which has shape [2, 3] and not [-1, 2]");
  EXPECT_EQ(cause({floats("y", {2, 2}, 3)}),
            "the skillset gave output 'y', which of shape [2, 2] and datatype FP32 needs 4 x 4 bytes, but has 12");
  EXPECT_EQ(cause({{"y", datatype::int32, {1, 2}, buffer::take(std::vector<std::int32_t>(2))}}),
            "the skillset gave output 'y', which has datatype INT32 and not FP32");
  // 2^63 bytes and then some are no bytes when they are counted in 64 bits.
  EXPECT_THAT(cause({{"y", datatype::fp32, {1LL << 61, 2}, {}}}), testing::HasSubstr("needs 4611686018427387904 x 4"));
  EXPECT_THAT(cause({{"y", datatype::fp32, {-2, 2}, {}}}), testing::HasSubstr("impossible shape"));
}

TEST(validate_metrics, names_what_is_wrong) {
  const auto cause = [](std::vector<metric_spec> metrics) {
    const auto checked = validate_metrics(metrics);
    return checked ? "" : checked.error().cause;
  };
  EXPECT_EQ(cause({}), "");
  EXPECT_EQ(cause({{"tokens_2", "Tokens"}, {"texts", "Texts", metric_spec::kind::gauge}}), "");
  for (const auto* name : {"", "Tokens", "2_tokens", "_tokens", "tokens-read", "t\n", "t\xc3\xa4"})
    EXPECT_THAT(cause({{name, "Tokens"}}), testing::HasSubstr("is no name")) << name;
  EXPECT_THAT(cause({{std::string(65, 'a'), "Tokens"}}), testing::HasSubstr("is no name"));
  for (const auto& help : {std::string{}, std::string{"a\nb"}, std::string{"\xff"}, std::string(257, 'a')})
    EXPECT_THAT(cause({{"tokens", help}}), testing::HasSubstr("what 'tokens' is"));
  EXPECT_THAT(cause({{"tokens", "a"}, {"tokens", "b"}}), testing::HasSubstr("'tokens' is there twice"));
  std::vector<metric_spec> many;
  while (many.size() != most_metrics)
    many.push_back({"m" + std::to_string(many.size()), "One of many"});
  EXPECT_EQ(cause(many), "");
  many.push_back({"m", "One too many"});
  EXPECT_THAT(cause(many), testing::HasSubstr("there are 33"));
}

}  // namespace
}  // namespace troupe
