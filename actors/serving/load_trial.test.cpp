#include "actors/serving/load_trial.hpp"

#include "actors/serving/testing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

namespace troupe {
namespace {

using testing::HasSubstr;

/// Models of a skillset whose hosts behave in some way, and are counted.
struct load_trial_test : testing::Test {
  load_trial_test() {
    model.name = "m";
    skills.title = "fixture";
    model.skills = testing_support::borrowed(skills);
    model.files["weights"] = {"weights.bin", "1234"};
  }

  /// The first of the hosts says what the skillset is.
  std::unique_ptr<load_trial> trial_with_hosts_that(const std::string& behave) {
    const auto host = folder.path() / "host";
    folder.write("host", "#!/bin/sh\necho started >>" + (folder.path() / "starts").string() +
                             "\nexec " TROUPE_HOST_FIXTURE " \"" + behave + "\"\n");
    std::filesystem::permissions(host, std::filesystem::perms::owner_all);
    auto catalog = std::make_shared<skillset_catalog>(std::vector<std::filesystem::path>{}, host);
    auto same = std::make_unique<testing_support::scripted_skillset>();
    same->title = skills.title;
    catalog->add(std::move(same));
    return std::make_unique<load_trial>(std::move(catalog));
  }

  std::ptrdiff_t starts() const {
    std::ifstream file{folder.path() / "starts"};
    return std::count(std::istreambuf_iterator<char>{file}, {}, '\n');
  }

  testing_support::temporary_folder folder;
  testing_support::scripted_skillset skills;
  model_folder model;
};

TEST_F(load_trial_test, files_are_loaded_by_a_host_until_that_went_well_once) {
  const auto trial = trial_with_hosts_that("behaves");
  EXPECT_TRUE(trial->pass(model, {}));
  EXPECT_EQ(starts(), 2);
  EXPECT_TRUE(trial->pass(model, {}));
  model.name = "another of the same files";
  EXPECT_TRUE(trial->pass(model, {}));
  EXPECT_EQ(starts(), 2);
  model.files["weights"].sha256 = "5678";
  EXPECT_TRUE(trial->pass(model, {}));
  EXPECT_EQ(starts(), 3);
}

TEST_F(load_trial_test, what_has_no_files_or_lives_in_hosts_needs_no_trial) {
  const auto trial = trial_with_hosts_that("behaves");
  model.isolation = isolation_kind::process;
  EXPECT_TRUE(trial->pass(model, {}));
  model.isolation = isolation_kind::thread;
  model.files.clear();
  EXPECT_TRUE(trial->pass(model, {}));
  EXPECT_EQ(starts(), 0);
}

TEST_F(load_trial_test, files_that_crash_their_skillset_are_said_to) {
  const auto trial = trial_with_hosts_that("crashes in load");
  for (int i = 0; i != 2; ++i) {
    const auto passed = trial->pass(model, {});
    ASSERT_FALSE(passed);
    EXPECT_EQ(passed.error().code, status_code::unavailable);
    EXPECT_THAT(passed.error().cause, HasSubstr("the model's files crash skillset 'fixture': the host process of model "
                                                "'m' was killed by signal 11"));
  }
  EXPECT_EQ(starts(), 3) << "what went wrong is tried again";
}

TEST_F(load_trial_test, what_loading_says_is_what_the_trial_says) {
  const auto passed = trial_with_hosts_that("can't load")->pass(model, {});
  ASSERT_FALSE(passed);
  EXPECT_EQ(passed.error().code, status_code::data_loss);
  EXPECT_EQ(passed.error().cause, "no such layer");
}

TEST_F(load_trial_test, is_given_up_with_its_load) {
  const auto trial = trial_with_hosts_that("never loads");
  cancel_scope scope;
  scope.cancel(make_error(status_code::cancelled, "not wanted"));
  EXPECT_EQ(trial->pass(model, scope.token()).error().cause, "not wanted");
}

}  // namespace
}  // namespace troupe
