#pragma once

#include "skillsets/sdk/conformance/conformance.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace troupe::conformance {

/// A skillset, and a model that it can load.
struct subject_parts {
  std::unique_ptr<skillset> skills;
  model_settings settings;
  options how;
};

class conformance_test : public testing::Test {
 public:
  conformance_test(const check& what, subject_parts (*make)()) : check_(what), make_(make) {}

  void TestBody() override {
    const auto parts = make_();
    subject whom{*parts.skills, parts.settings, parts.how};
    const auto found = run(check_, whom).found;
    if (found.what == verdict::skipped)
      GTEST_SKIP() << found.reason;
    EXPECT_EQ(found.what, verdict::passed) << "not so: " << check_.what << ". " << found.reason;
  }

 private:
  const check& check_;
  subject_parts (*const make_)();
};

/// Makes every check a test of its own, `conformance/NAME.CHECK`, in a skillset's test program; to be called before
/// `RUN_ALL_TESTS`, such as for a static variable. `make` is called in each of them.
inline bool register_tests(const std::string& name, subject_parts (*make)()) {
  for (const auto& each : all_checks())
    testing::RegisterTest(("conformance/" + name).c_str(), std::string{each.name}.c_str(), nullptr, nullptr, __FILE__,
                          __LINE__, [&each, make]() -> conformance_test* {
                            return new conformance_test{each, make};
                          });
  return true;
}

}  // namespace troupe::conformance
