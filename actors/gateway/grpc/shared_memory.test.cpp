#include "actors/gateway/grpc/shared_memory.hpp"

#include "actors/gateway/grpc/testing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <limits>
#include <thread>

namespace troupe {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;
using testing_support::shared_object;

constexpr auto most = std::numeric_limits<std::uint64_t>::max();

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span{text});
}

struct shared_memory_test : testing::Test {
  expected<void> add(const std::string& name, std::uint64_t offset, std::uint64_t size) {
    return memory.add({name, object.key(), offset, size});
  }

  error refusal(const shared_region& region) {
    const auto added = memory.add(region);
    EXPECT_FALSE(added) << region.key;
    return added ? error{} : added.error();
  }

  std::string read(const std::string& name, std::uint64_t offset, std::uint64_t size) {
    const auto slice = memory.find(name, offset, size);
    if (!slice)
      return to_string(slice.error());
    const auto data = slice->read();
    return data ? std::string{data->view()} : to_string(data.error());
  }

  shared_object object{"0123456789"};
  shared_memory memory;
};

TEST_F(shared_memory_test, reads_and_writes_where_it_is_told_to) {
  ASSERT_TRUE(add("r", 2, 6));
  EXPECT_EQ(read("r", 0, 6), "234567");
  EXPECT_EQ(read("r", 5, 1), "7");
  EXPECT_EQ(read("r", 6, 0), "");
  ASSERT_TRUE(memory.find("r", 1, 3)->write(bytes("ab")));
  EXPECT_EQ(object.content(), "012ab56789");
}

TEST_F(shared_memory_test, a_copy_is_not_changed_by_what_the_client_does_next) {
  ASSERT_TRUE(add("r", 0, 10));
  const auto copy = memory.find("r", 0, 10)->read();
  ASSERT_TRUE(memory.find("r", 0, 10)->write(bytes("abc")));
  EXPECT_EQ(copy->view(), "0123456789");
}

TEST_F(shared_memory_test, regions_may_overlap) {
  ASSERT_TRUE(add("a", 0, 6));
  ASSERT_TRUE(add("b", 4, 6));
  ASSERT_TRUE(memory.find("a", 4, 2)->write(bytes("xy")));
  EXPECT_EQ(read("b", 0, 6), "xy6789");
}

TEST_F(shared_memory_test, refuses_a_part_that_is_not_in_the_region) {
  ASSERT_TRUE(add("r", 2, 6));
  for (const auto& [offset, size] :
       {std::pair{0ul, 7ul}, {7ul, 0ul}, {6ul, 1ul}, {most, 1ul}, {1ul, most}, {most, most}}) {
    const auto slice = memory.find("r", offset, size);
    ASSERT_FALSE(slice) << offset << " " << size;
    EXPECT_EQ(slice.error().code, status_code::invalid_argument);
    EXPECT_THAT(slice.error().cause, HasSubstr("'r' of 6 bytes has no " + std::to_string(size) + " bytes from "));
  }
  EXPECT_EQ(memory.find("s", 0, 1).error().code, status_code::not_found);
}

TEST_F(shared_memory_test, refuses_a_region_that_is_not_in_the_object) {
  for (const auto& [offset, size] :
       {std::pair{0ul, 11ul}, {10ul, 1ul}, {11ul, 1ul}, {most, 1ul}, {1ul, most}, {most, most}, {most - 5, 10ul}}) {
    const auto refused = refusal({"r", object.key(), offset, size});
    EXPECT_EQ(refused.code, status_code::invalid_argument) << offset << " " << size;
    EXPECT_THAT(refused.cause, HasSubstr("'" + object.key() + "', which has 10"));
  }
  EXPECT_EQ(refusal({"r", object.key(), 0, 0}).code, status_code::invalid_argument);
}

TEST_F(shared_memory_test, refuses_keys_that_are_no_name_of_an_object) {
  for (const auto& key : {""s, "/"s, "//"s, "."s, "/."s, ".."s, "/.."s, "/a/b"s, "a/b"s, "/../etc/passwd"s, "//a"s,
                          "/a\0b"s, "/" + std::string(256, 'x'), std::string(1 << 20, 'x')}) {
    const auto refused = refusal({"r", key, 0, 1});
    EXPECT_EQ(refused.code, status_code::invalid_argument) << key;
    EXPECT_THAT(refused.cause, HasSubstr("is no key of shared memory"));
  }
  EXPECT_EQ(refusal({"r", "/" + std::string(255, 'x'), 0, 1}).code, status_code::not_found);
}

TEST_F(shared_memory_test, a_key_needs_no_slash) {
  ASSERT_TRUE(memory.add({"r", object.key().substr(1), 0, 4}));
  EXPECT_EQ(read("r", 0, 4), "0123");
}

TEST_F(shared_memory_test, says_that_there_is_no_such_object) {
  const auto refused = refusal({"r", object.key() + "-not", 0, 1});
  EXPECT_EQ(refused.code, status_code::not_found);
  EXPECT_EQ(refused.cause, "there is no shared memory '" + object.key() + "-not'");
}

TEST_F(shared_memory_test, refuses_what_is_no_memory) {
  const shared_object other{""};
  const auto path = "/dev/shm" + other.key();
  other.unlink();
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(refusal({"r", other.key(), 0, 1}).cause, "'" + other.key() + "' is no shared memory");
  other.unlink();
  ASSERT_EQ(symlink("/etc/passwd", path.c_str()), 0);
  EXPECT_EQ(refusal({"r", other.key(), 0, 1}).code, status_code::invalid_argument);
}

TEST_F(shared_memory_test, refuses_names_that_are_taken_empty_or_too_long) {
  ASSERT_TRUE(add("r", 0, 4));
  EXPECT_EQ(refusal({"r", object.key(), 4, 4}).code, status_code::already_exists);
  EXPECT_EQ(read("r", 0, 4), "0123");
  EXPECT_EQ(refusal({"", object.key(), 0, 4}).code, status_code::invalid_argument);
  EXPECT_EQ(refusal({std::string(256, 'x'), object.key(), 0, 4}).code, status_code::invalid_argument);
  EXPECT_TRUE(add(std::string(255, 'x'), 0, 4));
}

TEST_F(shared_memory_test, has_room_for_so_many_and_again_when_some_are_gone) {
  for (std::size_t i = 0; i != shared_memory::most_regions; ++i)
    ASSERT_TRUE(add("r" + std::to_string(i), 0, 4));
  EXPECT_EQ(refusal({"one too many", object.key(), 0, 4}).code, status_code::resource_exhausted);
  memory.remove("r0");
  EXPECT_TRUE(add("now", 0, 4));
  memory.remove_all();
  EXPECT_TRUE(add("r1", 0, 4));
}

TEST_F(shared_memory_test, describes_one_region_or_all) {
  EXPECT_TRUE(memory.describe("")->empty());
  ASSERT_TRUE(add("b", 2, 6));
  ASSERT_TRUE(add("a", 0, 4));
  const auto all = *memory.describe("");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "a");
  const auto one = *memory.describe("b");
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].key, object.key());
  EXPECT_EQ(one[0].offset, 2u);
  EXPECT_EQ(one[0].byte_size, 6u);
  EXPECT_EQ(memory.describe("c").error().code, status_code::not_found);
}

TEST_F(shared_memory_test, removing_what_is_not_there_is_done_already) {
  memory.remove("r");
  memory.remove_all();
  EXPECT_TRUE(add("r", 0, 4));
}

TEST_F(shared_memory_test, a_region_that_was_removed_lives_until_its_last_user_lets_go) {
  ASSERT_TRUE(add("r", 0, 10));
  const auto slice = memory.find("r", 0, 10);
  memory.remove("r");
  object.unlink();
  EXPECT_FALSE(memory.find("r", 0, 10));
  EXPECT_EQ(slice->read()->view(), "0123456789");
  ASSERT_TRUE(slice->write(bytes("ab")));
  EXPECT_EQ(object.content(), "ab23456789");
}

TEST_F(shared_memory_test, an_object_may_lose_its_name) {
  ASSERT_TRUE(add("r", 0, 10));
  object.unlink();
  EXPECT_EQ(read("r", 0, 10), "0123456789");
}

TEST_F(shared_memory_test, says_that_an_object_has_become_smaller) {
  ASSERT_TRUE(add("r", 2, 8));
  const auto slice = memory.find("r", 1, 6);
  object.resize(8);
  const auto expected_cause = "shared memory '" + object.key() +
                              "' of region 'r' has become smaller: it has 8 bytes, without 6 bytes from 3 on";
  for (const auto& failure : {slice->check().error(), slice->read().error(), slice->write(bytes("ab")).error()}) {
    EXPECT_EQ(failure.code, status_code::failed_precondition);
    EXPECT_EQ(failure.cause, expected_cause);
  }
  EXPECT_EQ(object.content(), "01234567") << "nothing was written";
  EXPECT_EQ(read("r", 0, 6), "234567") << "what is left can be used";
  object.resize(0);
  EXPECT_FALSE(slice->read());
}

// With a mapping, a read or write at the wrong moment would be the end of the process.
TEST_F(shared_memory_test, survives_an_object_that_shrinks_while_it_is_used) {
  constexpr std::uint64_t size = 1 << 20;
  object.resize(size);
  ASSERT_TRUE(add("r", 0, size));
  const auto slice = *memory.find("r", 0, size);
  std::atomic<bool> ended = false;
  std::jthread client{[&] {
    while (!ended) {
      object.resize(0);
      object.resize(size);
    }
  }};
  const std::string content(size, 'x');
  for (int i = 0; i != 300; ++i) {
    const auto data = slice.read();
    EXPECT_TRUE(data ? data->size() == size : data.error().code == status_code::failed_precondition);
    const auto written = slice.write(bytes(content));
    EXPECT_TRUE(written || written.error().code == status_code::failed_precondition);
  }
  ended = true;
}

TEST_F(shared_memory_test, is_used_by_many_at_once) {
  std::vector<std::jthread> threads;
  for (int t = 0; t != 3; ++t)
    threads.emplace_back([this, name = std::to_string(t)] {
      for (int i = 0; i != 300; ++i) {
        const bool added{add(name, 0, 10)};
        EXPECT_TRUE(added);
        const auto slice = memory.find(name, 0, 10);
        EXPECT_TRUE(slice ? slice->read()->size() == 10 : slice.error().code == status_code::not_found);
        EXPECT_TRUE(memory.describe(""));
        if (i % 7 == 0)
          memory.remove_all();
        else
          memory.remove(name);
      }
    });
}

}  // namespace
}  // namespace troupe
