#include "apps/troupe/new_skillset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <map>
#include <sstream>

namespace troupe::cli {
namespace {

using testing::HasSubstr;

class new_skillset_project : public testing::Test {
 protected:
  new_skillset_project() {
    std::string name{"/tmp/troupe-test-XXXXXX"};
    folder = mkdtemp(name.data());
  }
  ~new_skillset_project() override { std::filesystem::remove_all(folder); }

  /// What is in a folder: path to text.
  static std::map<std::string, std::string> files(const std::filesystem::path& in) {
    std::map<std::string, std::string> result;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{in})
      if (entry.is_regular_file()) {
        std::ostringstream text;
        text << std::ifstream{entry.path()}.rdbuf();
        result[entry.path().lexically_relative(in).string()] = text.str();
      }
    return result;
  }

  static error refused(const std::string& name, const std::filesystem::path& where) {
    const auto written = write_skillset_project(name, where);
    EXPECT_FALSE(written);
    if (written)
      return make_error(status_code::ok, "it was written");
    EXPECT_NE(written.error().remedy, "");
    return written.error();
  }

  std::filesystem::path folder;
};

TEST_F(new_skillset_project, is_the_example) {
  ASSERT_TRUE(write_skillset_project("text_statistics", folder / "x"));
  EXPECT_EQ(files(folder / "x"), files(TROUPE_EXAMPLE));
}

TEST_F(new_skillset_project, has_its_name_everywhere) {
  ASSERT_TRUE(write_skillset_project("my_own_7", folder / "x"));
  const auto written = files(folder / "x");
  EXPECT_EQ(written.size(), files(TROUPE_EXAMPLE).size());
  EXPECT_EQ(written.count("my_own_7.cpp"), 1u);
  EXPECT_EQ(written.count("models/my_own_7/model.toml"), 1u);
  for (const auto& [path, text] : written) {
    EXPECT_THAT(path, testing::Not(HasSubstr("text_statistics")));
    EXPECT_THAT(text, testing::Not(HasSubstr("text_statistics"))) << path;
  }
  EXPECT_THAT(written.at("my_own_7.cpp"), HasSubstr("TROUPE_SKILLSET(my_own_7_skillset)"));
}

TEST_F(new_skillset_project, takes_no_name_that_something_else_could_not_have) {
  for (const std::string name :
       {"",     "A",   "aB", "7a",  "_a",   "a_",  "a__b",    "a-b",      "a.b",    "a/b",
        "../a", "a b", "ä",  "a\n", "test", "all", "install", "identity", "troupe", "loaded"}) {
    const auto why = refused(name, folder / "x");
    EXPECT_EQ(why.code, status_code::invalid_argument) << name;
    EXPECT_THAT(why.cause, HasSubstr("'" + name + "'"));
  }
  EXPECT_EQ(refused(std::string(65, 'a'), folder / "x").code, status_code::invalid_argument);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  EXPECT_TRUE(check_skillset_name(std::string(64, 'a')));
}

TEST_F(new_skillset_project, overwrites_nothing) {
  std::filesystem::create_directory(folder / "empty");
  std::ofstream{folder / "file"} << "mine";
  std::filesystem::create_symlink("nowhere", folder / "link");
  for (const auto* there : {"empty", "file", "link"}) {
    const auto why = refused("mine", folder / there);
    EXPECT_EQ(why.code, status_code::already_exists) << there;
    EXPECT_THAT(why.cause, HasSubstr((folder / there).string()));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder / "empty"));
  EXPECT_EQ(files(folder), (std::map<std::string, std::string>{{"file", "mine"}}));
}

TEST_F(new_skillset_project, makes_no_folders_around_it) {
  std::ofstream{folder / "file"} << "mine";
  EXPECT_EQ(refused("mine", folder / "none" / "x").code, status_code::not_found);
  EXPECT_EQ(refused("mine", folder / "file" / "x").code, status_code::not_found);
}

TEST_F(new_skillset_project, says_where_it_may_not_write) {
  std::filesystem::permissions(folder, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  // Root may write everywhere.
  const auto before = geteuid();
  ASSERT_EQ(before == 0 ? seteuid(65534) : 0, 0);
  const auto why = refused("mine", folder / "x");
  ASSERT_EQ(seteuid(before), 0);
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
  EXPECT_EQ(why.code, status_code::permission_denied);
  EXPECT_THAT(why.cause, HasSubstr((folder / "x").string()));
}

TEST_F(new_skillset_project, leaves_nothing_of_what_it_could_not_finish) {
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1024, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto why = refused("mine", folder / "x");
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(why.code, status_code::internal);
  EXPECT_THAT(why.cause, HasSubstr("can't be written"));
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

}  // namespace
}  // namespace troupe::cli
