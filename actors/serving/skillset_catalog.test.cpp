#include "actors/serving/skillset_catalog.hpp"

#include "actors/serving/testing.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace troupe {
namespace {

using testing_support::scripted_skillset;
using found_devices = expected<std::vector<runtime_device>>;

/// What a catalog with one skillset says of the devices, where the skillset says `what`.
std::vector<runtime_device> devices_when(std::function<found_devices()> what) {
  auto skills = std::make_unique<scripted_skillset>();
  skills->on_devices = std::move(what);
  skillset_catalog catalog{"/nowhere"};
  catalog.add(std::move(skills));
  return catalog.devices();
}

TEST(skillset_catalog, tells_the_devices_that_its_skillsets_find) {
  const std::vector<runtime_device> two{{"Engine", "1", "CPU", "", {}}, {"Engine", "1", "GPU", "A Card", {"FP16"}}};
  EXPECT_EQ(devices_when([&] { return two; }), two);
}

TEST(skillset_catalog, a_skillset_that_cannot_tell_its_devices_has_none) {
  EXPECT_TRUE(devices_when([]() -> found_devices { return make_error(status_code::internal, "no driver"); }).empty());
  EXPECT_TRUE(devices_when([]() -> found_devices { throw std::runtime_error{"no driver"}; }).empty());
  EXPECT_TRUE(devices_when([]() -> found_devices { throw 1; }).empty());
}

}  // namespace
}  // namespace troupe
