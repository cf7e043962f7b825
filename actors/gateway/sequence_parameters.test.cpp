#include "actors/gateway/sequence_parameters.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using namespace std::string_literals;

signature stateful(bool batches = false) {
  signature what;
  what.stateful = true;
  what.batches = batches;
  return what;
}

expected<sequence_part> read(parameter_map parameters, const signature& what = stateful()) {
  inference_request request{{}, std::move(parameters)};
  if (const auto done = read_sequence(request, "m", what); !done)
    return done.error();
  EXPECT_TRUE(request.parameters.empty());
  return request.sequence.value_or(sequence_part{});
}

std::string refusal(parameter_map parameters, const signature& what = stateful()) {
  const auto part = read(std::move(parameters), what);
  EXPECT_FALSE(part);
  return part ? "" : part.error().cause;
}

TEST(sequence_parameters, are_an_id_and_two_flags) {
  auto part = read({{"sequence_id", std::int64_t{7}}, {"sequence_start", true}, {"sequence_end", false}});
  ASSERT_TRUE(part);
  EXPECT_EQ(part->id, sequence_id{std::uint64_t{7}});
  EXPECT_TRUE(part->start);
  EXPECT_FALSE(part->end);
  part = read({{"sequence_id", UINT64_MAX}, {"sequence_end", true}});
  ASSERT_TRUE(part);
  EXPECT_EQ(part->id, sequence_id{UINT64_MAX});
  EXPECT_FALSE(part->start);
  EXPECT_TRUE(part->end);
  part = read({{"sequence_id", "7"s}});
  ASSERT_TRUE(part);
  EXPECT_EQ(part->id, sequence_id{"7"s}) << "is another than the number";
}

TEST(sequence_parameters, of_the_wrong_type_are_refused_by_name) {
  const std::string id = "parameter 'sequence_id' is neither a whole number nor a short text";
  EXPECT_EQ(refusal({{"sequence_id", true}}), id);
  EXPECT_EQ(refusal({{"sequence_id", std::int64_t{-1}}}), id);
  EXPECT_EQ(refusal({{"sequence_id", 1.0}}), id);
  EXPECT_EQ(refusal({{"sequence_id", std::string(129, 'x')}}), id);
  EXPECT_EQ(refusal({{"sequence_id", "x"s}, {"sequence_start", std::int64_t{1}}}),
            "parameter 'sequence_start' is not a bool");
  EXPECT_EQ(refusal({{"sequence_id", "x"s}, {"sequence_end", "true"s}}), "parameter 'sequence_end' is not a bool");
  EXPECT_EQ(refusal({{"sequence_id", "x"s}, {"sequence_strat", true}}), "there is no parameter 'sequence_strat'");
}

TEST(sequence_parameters, a_stateful_model_wants_an_id) {
  const std::string missing = "inference request to model 'm' must specify a non-zero or non-empty correlation ID";
  EXPECT_EQ(refusal({}), missing);
  EXPECT_EQ(refusal({{"sequence_start", true}}), missing);
  EXPECT_EQ(refusal({{"sequence_id", std::int64_t{0}}, {"sequence_start", true}}), missing);
  EXPECT_EQ(refusal({{"sequence_id", ""s}, {"sequence_start", true}}), missing);
}

TEST(sequence_parameters, a_model_without_state_has_no_sequences) {
  const std::string none = "model 'm' keeps no state between requests";
  EXPECT_EQ(refusal({{"sequence_id", std::int64_t{1}}}, {}), none);
  EXPECT_EQ(refusal({{"sequence_id", "x"s}}, {}), none);
  EXPECT_EQ(refusal({{"sequence_start", true}}, {}), none);
  inference_request request{{}, {{"sequence_id", std::int64_t{0}}, {"sequence_end", false}, {"other", true}}};
  EXPECT_TRUE(read_sequence(request, "m", {}));
  EXPECT_FALSE(request.sequence);
  EXPECT_EQ(request.parameters, (parameter_map{{"other", true}}));
}

TEST(sequence_parameters, an_item_belongs_to_one_sequence) {
  inference_request request{{{"x", datatype::int32, {2, 1}, {}}}, {{"sequence_id", std::int64_t{1}}}};
  EXPECT_EQ(read_sequence(request, "m", stateful(true)).error().cause,
            "inference request to model 'm' must specify batch-size 1");
  request = {{{"x", datatype::int32, {2, 1}, {}}}, {{"sequence_id", std::int64_t{1}}}};
  EXPECT_TRUE(read_sequence(request, "m", stateful(false))) << "the first axis counts no items";
}

}  // namespace
}  // namespace troupe
