#include "actors/gateway/http/api_keys.hpp"

#include "actors/concurrency/virtual_clock.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <optional>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

struct api_keys_test : testing::Test {
  ~api_keys_test() override { std::filesystem::remove(file); }

  void write(const std::string& text) const { std::ofstream{file} << text; }

  std::string cause_of(const std::string& text) const {
    write(text);
    const auto keys = read_api_keys(file);
    return keys ? "none" : keys.error().cause;
  }

  /// The code that `key` gets.
  status_code ask(api_keys& keys, const std::string& key) {
    const auto pass = keys.admit("Bearer " + key);
    return pass ? status_code::ok : pass.error().code;
  }

  const std::filesystem::path file{testing::TempDir() + "troupe-api-keys-" + std::to_string(getpid())};
  virtual_clock clock;
};

TEST_F(api_keys_test, a_new_key_is_unlike_any_other) {
  const auto one = make_api_key(), other = make_api_key();
  ASSERT_TRUE(one && other);
  EXPECT_THAT(*one, testing::MatchesRegex("tk-[A-Za-z0-9_-]+"));
  EXPECT_EQ(one->size(), 3u + 43u);
  EXPECT_NE(*one, *other);
}

TEST_F(api_keys_test, a_line_is_read_as_it_was_written) {
  // https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values
  const api_key key{"a-b_c.1", hash_api_key("abc"), 60, 4};
  const std::string line =
      "a-b_c.1 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad rate=60/min concurrent=4";
  EXPECT_EQ(to_line(key), line);
  const auto read = parse_api_key(line);
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(to_line(*read), line);
}

TEST_F(api_keys_test, says_what_is_wrong_with_a_file) {
  const auto hash = to_line({"x", hash_api_key("k")}).substr(2);
  EXPECT_EQ(read_api_keys("/nowhere/keys").error().code, status_code::not_found);
  EXPECT_THAT(cause_of(""), HasSubstr("there is no key in"));
  EXPECT_THAT(cause_of("# nothing\n\n"), HasSubstr("there is no key in"));
  EXPECT_THAT(cause_of("\n a/b " + hash), HasSubstr("line 2: 'a/b' can't be the name of a key"));
  EXPECT_THAT(cause_of("a"), HasSubstr("has no SHA-256"));
  EXPECT_THAT(cause_of("a " + hash.substr(1)), HasSubstr("has no SHA-256"));
  EXPECT_THAT(cause_of("a g" + hash.substr(1)), HasSubstr("has no SHA-256"));
  for (const auto* word : {"rate=5", "rate=0/min", "rate=-1/min", "rate=99999999999/min", "rate=/min", "concurrent=0",
                           "concurrent=x", "concurrent=1 concurrent=1", "more"})
    EXPECT_THAT(cause_of("a " + hash + " " + word), HasSubstr("neither rate=N/min nor concurrent=N")) << word;
  EXPECT_THAT(cause_of("a " + hash + "\nb " + hash), HasSubstr("line 2: 'b' has the name or the key of 'a'"));
  EXPECT_THAT(cause_of(std::string(2 << 20, '\n') + "#" + std::string(2 << 20, 'x')), HasSubstr("mebibyte"));
  EXPECT_EQ(cause_of("# good\r\na " + hash + "\t rate=1/min \r\n"), "none");
}

TEST_F(api_keys_test, lets_in_who_has_a_key) {
  api_keys keys{file, {{"a", hash_api_key("k1")}, {"b", hash_api_key("k2")}}, clock};
  const auto one = keys.admit("Bearer k1"), other = keys.admit("bearer k2");
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->name(), "a");
  EXPECT_EQ(other->name(), "b");
  EXPECT_NE(one->number(), other->number());
  for (const auto* wrong : {"", "k1", "Bearer", "Bearer ", "Bearer k", "Bearer k11", "Bearer  k1", "Basic k1"})
    EXPECT_EQ(keys.admit(wrong).error().code, status_code::unauthenticated) << wrong;
}

TEST_F(api_keys_test, counts_what_runs) {
  api_keys keys{file, {{"a", hash_api_key("k"), 0, 2}}, clock};
  std::optional<expected<api_keys::pass>> first{keys.admit("Bearer k")};
  const auto second = keys.admit("Bearer k");
  ASSERT_TRUE(*first && second);
  const auto third = keys.admit("Bearer k");
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, status_code::resource_exhausted);
  EXPECT_GT(third.error().retry_after.count(), 0);
  first.reset();
  EXPECT_EQ(ask(keys, "k"), status_code::ok);
}

TEST_F(api_keys_test, counts_the_requests_of_a_minute) {
  api_keys keys{file, {{"a", hash_api_key("k"), 3, 0}}, clock};
  for (int i = 0; i != 3; ++i)
    EXPECT_EQ(ask(keys, "k"), status_code::ok);
  EXPECT_EQ(keys.admit("Bearer k").error().retry_after, 20s);
  clock.advance(20s - 1ms);
  EXPECT_EQ(keys.admit("Bearer k").error().retry_after, 1ms);
  clock.advance(1ms);
  EXPECT_EQ(ask(keys, "k"), status_code::ok);
  EXPECT_EQ(ask(keys, "k"), status_code::resource_exhausted);
  clock.advance(24h);
  for (int i = 0; i != 3; ++i)
    EXPECT_EQ(ask(keys, "k"), status_code::ok);
  EXPECT_EQ(ask(keys, "k"), status_code::resource_exhausted) << "what a day brings is not saved up";
}

TEST_F(api_keys_test, reads_a_file_that_changed) {
  const auto a = to_line({"a", hash_api_key("k1"), 1, 0}), b = to_line({"b", hash_api_key("k2")});
  write(a);
  api_keys keys{file, *read_api_keys(file), clock};
  EXPECT_EQ(ask(keys, "k1"), status_code::ok);
  write(a + "\n" + b);
  clock.advance(1s);
  EXPECT_EQ(ask(keys, "k2"), status_code::ok);
  EXPECT_EQ(ask(keys, "k1"), status_code::resource_exhausted) << "what it has used is used";
  write("broken");
  clock.advance(1s);
  EXPECT_EQ(ask(keys, "k2"), status_code::ok) << "those that there were stay";
  std::filesystem::remove(file);
  clock.advance(1s);
  EXPECT_EQ(ask(keys, "k2"), status_code::ok);
  write(a);
  clock.advance(1s);
  EXPECT_EQ(ask(keys, "k2"), status_code::unauthenticated);
}

}  // namespace
}  // namespace troupe
