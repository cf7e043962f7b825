#include "text_statistics.hpp"

#include "skillsets/sdk/conformance/gtest.hpp"
#include "skillsets/sdk/plugin.hpp"
#include "skillsets/sdk/testing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace {

using namespace troupe;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::recorded_item;
using testing_support::respond;

inference_request request(const std::vector<std::string>& texts) {
  std::string data;
  for (const auto& text : texts)
    append_bytes(data, text);
  return {{{"text", datatype::bytes, {static_cast<std::int64_t>(texts.size())}, buffer::take(std::move(data))}}, {}};
}

template <class T>
std::vector<T> elements(const tensor& from) {
  std::vector<T> result(from.data.size() / sizeof(T));
  std::memcpy(result.data(), from.data.bytes().data(), from.data.size());
  return result;
}

/// A model as the platform loads it, with an instance.
struct loaded {
  explicit loaded(std::int64_t gram = 1) {
    model_settings settings;
    settings.options["gram"] = gram;
    model = *text_statistics_skillset{}.load(settings, {});
    worker = *model->make_instance();
  }

  std::unique_ptr<loaded_model> model;
  std::unique_ptr<instance> worker;
};

text_measures measured(std::string_view text, std::size_t gram = 1) {
  const auto result = measure(text, gram, {});
  EXPECT_TRUE(result) << to_string(result.error());
  return result ? *result : text_measures{};
}

TEST(measure, counts_characters_and_words) {
  EXPECT_EQ(measured("").words, 0);
  EXPECT_EQ(measured(" \t\n").words, 0);
  EXPECT_EQ(measured("To be, or not to be.").words, 6);
  EXPECT_EQ(measured("To be, or not to be.").characters, 20);
  EXPECT_EQ(measured("d\u00e9j\u00e0\u3000vu").words, 2);
  EXPECT_EQ(measured("d\u00e9j\u00e0\u3000vu").characters, 7);
  EXPECT_EQ(measured("\U0001F3AD").characters, 1);
}

TEST(measure, entropy_is_in_bits_a_gram) {
  EXPECT_FLOAT_EQ(measured("").entropy, 0);
  EXPECT_FLOAT_EQ(measured("aaaaaaaa").entropy, 0);
  EXPECT_FLOAT_EQ(measured("abab").entropy, 1);
  EXPECT_FLOAT_EQ(measured("abcdefgh").entropy, 3);
  EXPECT_FLOAT_EQ(measured("aaaaa", 2).entropy, 0);
  EXPECT_FLOAT_EQ(measured("aabba", 2).entropy, 2);  // aa, ab, bb, ba
  EXPECT_FLOAT_EQ(measured("ab", 3).entropy, 0);
}

TEST(measure, names_the_byte_that_is_no_utf8) {
  for (const std::string bad :
       {"\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "\xe2\x82"}) {
    const auto result = measure("ab" + bad, 1, {});
    ASSERT_FALSE(result) << bad.size();
    EXPECT_EQ(result.error().code, status_code::invalid_argument);
    EXPECT_THAT(result.error().cause, HasSubstr("byte 2 "));
  }
}

TEST(measure, stops_when_it_is_cancelled) {
  cancel_scope scope;
  scope.cancel();
  const auto result = measure(std::string(1 << 20, 'a'), 1, scope.token());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, status_code::cancelled);
}

TEST(text_statistics, answers_its_warm_up) {
  const loaded one;
  const auto response = respond(*one.worker, one.model->warm_up());
  ASSERT_TRUE(response) << to_string(response.error());
  EXPECT_THAT(elements<std::int64_t>(response->outputs[1]), ElementsAre(5));
}

TEST(text_statistics, answers_what_its_signature_says) {
  const loaded one;
  const auto response = respond(*one.worker, request({"ab", "", "a b"}));
  ASSERT_TRUE(response) << to_string(response.error());
  const auto& promised = one.model->describe().outputs;
  ASSERT_EQ(response->outputs.size(), promised.size());
  for (std::size_t i = 0; i != promised.size(); ++i) {
    EXPECT_EQ(response->outputs[i].name, promised[i].name);
    EXPECT_EQ(response->outputs[i].type, promised[i].type);
    EXPECT_THAT(response->outputs[i].shape, ElementsAre(3));
  }
  EXPECT_THAT(elements<std::int64_t>(response->outputs[0]), ElementsAre(2, 0, 3));
  EXPECT_THAT(elements<std::int64_t>(response->outputs[1]), ElementsAre(1, 0, 2));
  EXPECT_THAT(elements<float>(response->outputs[2]), ElementsAre(1, 0, testing::FloatEq(std::log2(3.f))));
}

TEST(text_statistics, takes_grams_as_its_option_says) {
  const loaded pairs{2};
  const auto response = respond(*pairs.worker, request({"aabba"}));
  ASSERT_TRUE(response);
  EXPECT_THAT(elements<float>(response->outputs[2]), ElementsAre(2));
}

TEST(text_statistics, a_request_without_texts_has_an_answer) {
  const loaded one;
  const auto response = respond(*one.worker, request({}));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->outputs[0].data.size(), 0u);
}

TEST(text_statistics, a_bad_request_harms_no_other_of_its_batch) {
  const loaded one;
  cancel_scope left;
  recorded_item good{request({"good"})}, bad{request({"fine", "\xff"})}, unwanted{request({"x"}), left.token()};
  left.cancel();
  work_item* const batch[] = {&unwanted, &bad, &good};
  EXPECT_TRUE(one.worker->run(batch, {}));
  ASSERT_TRUE(good.last && bad.last && unwanted.last);
  EXPECT_TRUE(*good.last);
  EXPECT_EQ(bad.last->error().code, status_code::invalid_argument);
  EXPECT_EQ(unwanted.last->error().code, status_code::cancelled);
}

TEST(text_statistics, a_batch_that_nobody_wants_ends) {
  const loaded one;
  cancel_scope all;
  all.cancel();
  recorded_item item{request({"x"})};
  work_item* const batch[] = {&item};
  const auto done = one.worker->run(batch, all.token());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, status_code::cancelled);
}

TEST(text_statistics, is_what_the_plug_in_has) {
  const auto skills = open_plugin(PLUGIN);
  ASSERT_TRUE(skills) << to_string(skills.error());
  EXPECT_EQ((*skills)->name(), "text_statistics");
  EXPECT_EQ((*skills)->options().at(0).fallback, parameter{std::int64_t{1}});
}

/// That it keeps the contract, a test for each point of it.
const bool registered = conformance::register_tests("text_statistics", [] {
  model_settings settings;
  settings.options["gram"] = std::int64_t{1};
  conformance::options how;
  how.random_inputs = 1000;
  return conformance::subject_parts{std::make_unique<text_statistics_skillset>(), settings, how};
});

}  // namespace
