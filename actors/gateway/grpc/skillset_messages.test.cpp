#include "actors/gateway/grpc/skillset_messages.hpp"

#include "actors/serving/skillset_catalog.hpp"

#include "troupe/node/v1/node.pb.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

node::v1::Skillset described(const skillset_listing& listing) {
  node::v1::Skillset result;
  describe_skillset(listing, result);
  return result;
}

TEST(skillset_messages, say_what_a_skillset_is) {
  skillset_listing listing;
  listing.file = {"x", skillset_kind::program, "/p/x.toml"};
  listing.version = "1.2";
  listing.platform = "numpy";
  listing.options = {{"flag", true, {}},
                     {"count", std::int64_t{3}, {}, 1, 10},
                     {"ratio", 0.5, {}},
                     {"mode", std::string{"fast"}, {"fast", "slow"}}};
  listing.devices = {{"Engine", "7", "GPU", "A Card", {"FP16"}}};
  const auto to = described(listing);
  EXPECT_EQ(to.name(), "x");
  EXPECT_EQ(to.kind(), node::v1::Skillset::PROGRAM);
  EXPECT_EQ(to.file(), "/p/x.toml");
  EXPECT_EQ(to.version(), "1.2");
  EXPECT_EQ(to.platform(), "numpy");
  ASSERT_EQ(to.options_size(), 4);
  EXPECT_TRUE(to.options(0).bool_value());
  EXPECT_EQ(to.options(1).int64_value(), 3);
  EXPECT_EQ(to.options(1).least(), 1);
  EXPECT_EQ(to.options(1).most(), 10);
  EXPECT_EQ(to.options(2).double_value(), 0.5);
  EXPECT_FALSE(to.options(2).has_least());
  EXPECT_EQ(to.options(3).string_value(), "fast");
  EXPECT_EQ(to.options(3).choices_size(), 2);
  ASSERT_EQ(to.devices_size(), 1);
  EXPECT_EQ(to.devices(0).name(), "GPU");
  EXPECT_EQ(to.devices(0).runtime().name(), "Engine");
  EXPECT_EQ(to.refused(), "");
  EXPECT_EQ(to.shadowed_by(), "");
}

TEST(skillset_messages, say_why_it_cannot_be_used) {
  skillset_listing listing;
  listing.file = {"x", skillset_kind::shared_object, "/p/x.so"};
  listing.refused = make_error(status_code::unavailable, "it dies", "mend it");
  EXPECT_EQ(described(listing).refused(), to_string(*listing.refused));
  listing.shadowed_by = skillset_file{"x", skillset_kind::built_in, {}};
  EXPECT_EQ(described(listing).shadowed_by(), "built in");
  listing.shadowed_by->path = "/o/x.so";
  EXPECT_EQ(described(listing).shadowed_by(), "/o/x.so");
}

}  // namespace
}  // namespace troupe
