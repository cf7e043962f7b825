#include "actors/serving/hosts/program_manifest.hpp"

#include "actors/serving/testing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

struct program_manifest_test : testing::Test {
  expected<program_manifest> read(std::string_view text) const {
    folder.write("p.toml", text);
    return read_program_manifest(folder.path() / "p.toml");
  }

  /// What is wrong with it, from the line's number on.
  std::string refusal(std::string_view text) const {
    const auto manifest = read(text);
    if (manifest)
      return "nothing";
    EXPECT_EQ(manifest.error().code, status_code::invalid_argument);
    EXPECT_THAT(manifest.error().cause, StartsWith((folder.path() / "p.toml").string()));
    return manifest.error().cause.substr((folder.path() / "p.toml").string().size());
  }

  testing_support::temporary_folder folder;
};

TEST_F(program_manifest_test, finds_a_program_in_path) {
  const auto manifest = read("command = ['sh', '-c', 'exit 3']");
  ASSERT_TRUE(manifest) << manifest.error().message();
  EXPECT_TRUE(manifest->program.is_absolute());
  EXPECT_EQ(manifest->program.filename(), "sh");
  EXPECT_THAT(manifest->arguments, ElementsAre("-c", "exit 3"));
  EXPECT_EQ(manifest->folder, folder.path());
}

TEST_F(program_manifest_test, finds_a_program_relative_to_the_manifest) {
  folder.write("bin/run", "#!/bin/sh\n");
  std::filesystem::permissions(folder.path() / "bin/run", std::filesystem::perms::owner_all);
  const auto manifest = read("command = ['bin/run']");
  ASSERT_TRUE(manifest) << manifest.error().message();
  EXPECT_EQ(manifest->program, folder.path() / "bin/run");
  EXPECT_EQ(read("command = ['/bin/sh']")->program, "/bin/sh");
}

TEST_F(program_manifest_test, says_what_is_wrong) {
  folder.write("plain", "no program");
  EXPECT_THAT(refusal(""), HasSubstr("'command' must name a program"));
  EXPECT_THAT(refusal("command = []"), HasSubstr(":1: 'command' must name a program"));
  EXPECT_THAT(refusal("command = ['']"), HasSubstr(":1: 'command' must name a program"));
  EXPECT_THAT(refusal("command = 'sh'"), HasSubstr(":1: 'command' must be an array"));
  EXPECT_THAT(refusal("command = ['sh', 1]"), HasSubstr(":1: 'command' must be an array"));
  EXPECT_THAT(refusal("\ncommand = ['sh', \"a\\u0000b\"]"), HasSubstr(":2: 'command' has a word with a NUL"));
  EXPECT_THAT(refusal("command = ['no-such-program-at-all']"), HasSubstr("which is not in the node's PATH"));
  EXPECT_THAT(refusal("command = ['./nowhere']"), HasSubstr("/nowhere', which is not there"));
  EXPECT_THAT(refusal("command = ['./plain']"), HasSubstr("/plain', which may not be executed"));
  EXPECT_THAT(refusal("command = ['/']"), HasSubstr("which is not there"));
  EXPECT_THAT(refusal("command = ['sh']\nenvironment = 1"), HasSubstr(":2: 'environment' is not a known key"));
  EXPECT_THAT(refusal("command = [sh]"), HasSubstr(":1:"));
  EXPECT_EQ(read_program_manifest(folder.path() / "none.toml").error().code, status_code::not_found);
}

}  // namespace
}  // namespace troupe
