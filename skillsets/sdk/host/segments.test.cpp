#include "skillsets/sdk/host/segments.hpp"

#include "skillsets/sdk/host/attachments.hpp"
#include "skillsets/sdk/host/testing.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <thread>

namespace troupe {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span{text.data(), text.size()});
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all{"/proc/self/fd"};
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// How many segments are in this process's memory.
std::size_t mapped() {
  std::ifstream maps{"/proc/self/maps"};
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.find("memfd:troupe-tensor") != std::string::npos ? 1 : 0;
  return count;
}

/// Both sides of a conversation, without a socket between them.
struct segments_test : testing::Test {
  /// What is sent in one message, as the other side sees it.
  expected<buffer> send(const std::string& text) {
    auto loan = here.own.lend(bytes_of(text));
    if (!loan)
      return make_error(status_code::resource_exhausted, "no segment");
    last = loan->number();
    const int file = loan->take_file();
    loan->sent();
    made = file >= 0;
    EXPECT_TRUE(there.heed(here.tell()));
    if (made) {
      const auto added = there.others.add(last, file);
      close(file);
      if (!added)
        return added.error();
    }
    return there.others.view(last, text.size());
  }

  void answer() { EXPECT_TRUE(here.heed(there.tell())); }

  shared_segments here, there;
  std::uint32_t last = 0;
  bool made = false;
};

TEST_F(segments_test, are_used_again_once_nobody_looks_at_them) {
  const auto before = open_descriptors();
  for (const std::string text : {"first", "second", "third"}) {
    auto seen = send(text);
    ASSERT_TRUE(seen) << seen.error().message();
    EXPECT_EQ(seen->view(), text);
    EXPECT_EQ(made, text == "first");
    seen = buffer{};
    answer();
  }
  EXPECT_EQ(here.own.size(), 1u);
  EXPECT_EQ(there.others.size(), 1u);
  EXPECT_EQ(open_descriptors(), before) << "what is mapped needs no descriptor";
}

TEST_F(segments_test, are_not_written_into_while_anybody_looks_at_them) {
  auto first = send("first");
  const auto copy = *first;
  first = buffer{};
  answer();
  EXPECT_EQ(send("second")->view(), "second");
  EXPECT_EQ(copy.view(), "first");
  EXPECT_EQ(here.own.size(), 2u);
}

TEST_F(segments_test, are_not_written_into_before_it_is_told_that_nobody_looks) {
  static_cast<void>(send("first"));
  static_cast<void>(send("second"));
  EXPECT_EQ(here.own.size(), 2u);
}

TEST_F(segments_test, that_were_not_sent_go_back) {
  const auto before = open_descriptors();
  { const auto loan = here.own.lend(bytes_of("never sent")); }
  EXPECT_EQ(here.own.size(), 0u) << "nobody has seen it";
  EXPECT_EQ(open_descriptors(), before);
  static_cast<void>(send("sent"));
  answer();
  { const auto loan = here.own.lend(bytes_of("not sent")); }
  EXPECT_EQ(here.own.size(), 1u);
  EXPECT_EQ(send("sent again")->view(), "sent again");
  EXPECT_TRUE(here.tell().empty());
}

TEST_F(segments_test, go_back_with_the_files_of_a_message_that_is_not_sent) {
  {
    attachments files{&here.own};
    EXPECT_TRUE(files.share(bytes_of("never sent"))->segment);
    EXPECT_EQ(here.own.size(), 1u);
  }
  EXPECT_EQ(here.own.size(), 0u);
  attachments files{&here.own};
  ASSERT_TRUE(files.share(bytes_of("sent")));
  files.sent();
  files = attachments{};
  EXPECT_EQ(here.own.size(), 1u);
  EXPECT_TRUE(here.own.release(2));
}

TEST_F(segments_test, have_a_bound_and_beyond_it_there_are_files) {
  const std::string much(16 * mib, 'm');
  std::vector<buffer> seen;
  for (int i = 0; i != 4; ++i)
    seen.push_back(*send(much));
  EXPECT_FALSE(here.own.lend(bytes_of(much)));
  attachments files{&here.own};
  const auto place = files.share(bytes_of(much));
  ASSERT_TRUE(place);
  EXPECT_FALSE(place->segment);
  EXPECT_EQ(files.view(*place->file, much.size())->view(), much);
  EXPECT_FALSE(here.own.lend(bytes_of(std::string(most_segment_bytes + 1, 'x')))) << "never, however many are free";
  seen.pop_back();
  answer();
  EXPECT_TRUE(here.own.lend(bytes_of(much)));
}

TEST_F(segments_test, that_are_free_make_room_for_others) {
  const std::string much(16 * mib, 'm'), more(40 * mib, 'n');
  for (int i = 0; i != 4; ++i) {
    const auto seen = send(much);
    if (i == 3)
      answer();
  }
  answer();
  ASSERT_EQ(here.own.size(), 4u);
  const auto seen = send(more);
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_EQ(here.own.size(), 2u);
  EXPECT_EQ(there.others.size(), 2u) << "the other side keeps no others";
}

TEST_F(segments_test, that_would_not_make_room_enough_stay) {
  const std::string much(16 * mib, 'm');
  const auto kept = send(std::string(40 * mib, 'k'));
  static_cast<void>(send(much));
  answer();
  EXPECT_FALSE(here.own.lend(bytes_of(std::string(40 * mib, 'n'))));
  EXPECT_EQ(here.own.size(), 2u);
}

TEST_F(segments_test, are_not_wasted_on_much_smaller_tensors) {
  static_cast<void>(send(std::string(16 * mib, 'm')));
  answer();
  static_cast<void>(send(std::string(7 * mib, 'm')));
  EXPECT_TRUE(made);
  static_cast<void>(send(std::string(9 * mib, 'm')));
  EXPECT_FALSE(made);
}

TEST_F(segments_test, fit_tensors_of_about_the_same_size_and_the_smallest_that_fits_is_taken) {
  static_cast<void>(send(std::string(100'000, 'm')));
  answer();
  static_cast<void>(send(std::string(110'000, 'm')));
  EXPECT_FALSE(made);
  static_cast<void>(send(std::string(130'000, 'm')));
  EXPECT_TRUE(made);
  answer();
  static_cast<void>(send(std::string(100'000, 'm')));
  EXPECT_EQ(last, 1u);
}

TEST_F(segments_test, that_the_system_has_no_descriptors_for_take_no_room) {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{0, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  const auto lent = here.own.lend(bytes_of(std::string(16 * mib, 'm')));
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_FALSE(lent);
  EXPECT_TRUE(here.own.lend(bytes_of(std::string(most_segment_bytes, 'm'))));
}

TEST_F(segments_test, are_no_more_than_there_may_be) {
  std::vector<buffer> seen;
  for (std::size_t i = 0; i != most_segments; ++i)
    seen.push_back(*send("x"));
  EXPECT_FALSE(here.own.lend(bytes_of("x")));
}

TEST_F(segments_test, are_given_up_by_either_side) {
  static_cast<void>(send("first"));
  answer();
  const auto looked_at = send("second");
  static_cast<void>(send("third"));
  answer();
  EXPECT_TRUE(here.own.drop_one());
  EXPECT_FALSE(here.own.drop_one()) << "the other one is lent";
  ASSERT_TRUE(there.heed(here.tell()));
  EXPECT_EQ(there.others.size(), 1u);
  EXPECT_FALSE(there.others.return_one()) << "somebody looks at it";
  EXPECT_EQ(looked_at->view(), "second");
  EXPECT_EQ(send("fourth")->view(), "fourth");
  EXPECT_TRUE(there.others.return_one());
  answer();
  EXPECT_EQ(here.own.size(), 1u);
  EXPECT_EQ(there.others.size(), 1u);
}

TEST_F(segments_test, that_have_been_free_for_longest_are_given_up_first) {
  auto small = send("small"), large = send(std::string(9000, 'l'));
  large = buffer{};
  answer();
  small = buffer{};
  answer();
  EXPECT_TRUE(here.own.drop_one());
  EXPECT_EQ(here.tell().dropped, std::vector<std::uint32_t>{2}) << "the large one, which was free first";
}

TEST_F(segments_test, last_as_long_as_their_buffers_and_no_longer) {
  const auto before = mapped();
  std::optional<buffer> kept;
  {
    segment_views views;
    const auto map = [&](std::uint32_t number, const std::string& text) {
      auto loan = here.own.lend(bytes_of(text));
      const int file = loan->take_file();
      loan->sent();
      EXPECT_TRUE(views.add(number, file));
      close(file);
      return *views.view(number, text.size());
    };
    kept = map(1, "kept");
    static_cast<void>(map(2, "not kept"));
    EXPECT_EQ(mapped(), before + 4) << "each is there twice: to be filled, and to be looked at";
  }
  EXPECT_EQ(mapped(), before + 3);
  EXPECT_EQ(kept->view(), "kept") << "after the end of the conversation";
  kept.reset();
  EXPECT_EQ(mapped(), before + 2);
}

TEST_F(segments_test, files_beside_them_are_counted_while_they_are_looked_at) {
  attachments files;
  for (int i = 0; i != 3; ++i)
    ASSERT_TRUE(files.add(bytes_of(std::string(100, 'x'))));
  there.others.bound_files(250);
  auto first = there.others.view(files, 0, 100);
  const auto second = there.others.view(files, 1, 100);
  ASSERT_TRUE(second);
  EXPECT_EQ(there.others.view(files, 2, 51).error().code, status_code::resource_exhausted);
  EXPECT_EQ(there.others.view(files, 2, ~std::uint64_t{0}).error().code, status_code::resource_exhausted);
  EXPECT_EQ(there.others.view(files, 3, 50).error().code, status_code::data_loss) << "and what fails doesn't count";
  EXPECT_TRUE(there.others.view(files, 2, 50));
  first = buffer{};
  EXPECT_EQ(there.others.view(files, 2, 100)->view(), std::string(100, 'x'));
}

// -- what the other side may not do -----------------------------------------------------------------------------------

/// What is wrong with the notes.
std::string wrong(shared_segments& with, const segment_notes& notes) {
  const auto heeded = with.heed(notes);
  EXPECT_EQ(heeded ? status_code::ok : heeded.error().code, status_code::data_loss);
  return heeded ? "nothing" : heeded.error().cause;
}

TEST_F(segments_test, can_be_released_once_and_by_whom_they_were_lent_to) {
  EXPECT_EQ(wrong(here, {.released = {1}}), "the other process lets go of segment 1, which it doesn't have");
  const auto seen = send("x");
  EXPECT_TRUE(here.heed({.released = {last}}));
  EXPECT_EQ(wrong(here, {.released = {last}}), "the other process lets go of segment 1, which it doesn't have");
  auto loan = here.own.lend(bytes_of(std::string(9000, 'x')));
  EXPECT_EQ(wrong(here, {.released = {loan->number()}}),
            "the other process lets go of segment 2, which it doesn't have")
      << "it has not been sent";
}

TEST_F(segments_test, can_be_returned_when_they_were_released) {
  const auto seen = send("x");
  EXPECT_EQ(wrong(here, {.returned = {last}}), "the other process returns segment 1, which it can't");
  EXPECT_EQ(wrong(here, {.returned = {7}}), "the other process returns segment 7, which it can't");
}

TEST_F(segments_test, can_be_dropped_when_nobody_looks_at_them) {
  const auto seen = send("x");
  EXPECT_EQ(wrong(there, {.dropped = {last}}), "segment 1 of the other process was not released");
  EXPECT_EQ(wrong(there, {.dropped = {7}}), "segment 7 of the other process is not there");
  EXPECT_EQ(seen->view(), "x");
}

TEST_F(segments_test, can_be_used_again_when_they_were_released) {
  auto seen = send("x");
  EXPECT_EQ(there.others.view(last, 1).error().cause, "segment 1 of the other process was not released");
  seen = buffer{};
  EXPECT_EQ(there.others.view(last, 1).error().cause, "segment 1 of the other process was not released")
      << "nobody has told that";
  answer();
  EXPECT_EQ(there.others.view(last, ~std::uint64_t{0}).error().code, status_code::data_loss);
  EXPECT_TRUE(there.others.view(last, 1));
  EXPECT_EQ(there.others.view(last + 1, 1).error().cause, "segment 2 of the other process is not there");
}

/// A file as only a careless or a malicious process makes it.
int file_of(std::size_t size, unsigned seals) {
  const int file = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  EXPECT_EQ(ftruncate(file, static_cast<off_t>(size)), 0);
  EXPECT_EQ(fcntl(file, F_ADD_SEALS, seals), 0);
  return file;
}

/// What is wrong with a segment that is such a file.
std::string refused(segment_views& views, std::uint32_t number, int file) {
  const auto added = views.add(number, file);
  close(file);
  EXPECT_EQ(added ? status_code::ok : added.error().code, status_code::data_loss);
  return added ? "nothing" : added.error().cause;
}

constexpr unsigned enough = F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE;

TEST_F(segments_test, must_be_sealed) {
  const auto how = "segment 1 of the other process isn't sealed against shrinking and new writers";
  EXPECT_EQ(refused(there.others, 1, file_of(10, 0)), how);
  EXPECT_EQ(refused(there.others, 1, file_of(10, F_SEAL_SHRINK)), how);
  EXPECT_EQ(refused(there.others, 1, file_of(10, F_SEAL_FUTURE_WRITE)), how);
  EXPECT_EQ(refused(there.others, 1, open("/dev/zero", O_RDWR | O_CLOEXEC)), how);
  EXPECT_EQ(refused(there.others, 1, file_of(0, enough)), "segment 1 of the other process is empty");
}

TEST_F(segments_test, must_keep_within_their_bounds) {
  const auto how = "segment 9 of the other process is one more, or larger, than it may have";
  EXPECT_EQ(refused(there.others, 9, file_of(most_segment_bytes + 1, enough)), how);
  EXPECT_EQ(refused(there.others, 9, file_of(std::size_t{1} << 45, enough)), how);
  const int half = file_of(most_segment_bytes / 2, enough);
  EXPECT_TRUE(there.others.add(1, half));
  EXPECT_EQ(there.others.add(1, half).error().cause, "segment 1 of the other process is there already");
  EXPECT_TRUE(there.others.add(2, half));
  close(half);
  EXPECT_EQ(refused(there.others, 9, file_of(1, enough)), how);
  EXPECT_TRUE(there.heed({.dropped = {1}}));
  for (std::uint32_t number = 10; there.others.size() != most_segments; ++number) {
    const int file = file_of(1, enough);
    EXPECT_TRUE(there.others.add(number, file));
    close(file);
  }
  EXPECT_EQ(refused(there.others, 9, file_of(1, enough)), how);
}

TEST_F(segments_test, can_be_written_by_those_alone_who_made_them) {
  auto loan = here.own.lend(bytes_of("mine"));
  const int file = loan->take_file();
  EXPECT_EQ(mmap(nullptr, 4, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), MAP_FAILED);
  EXPECT_EQ(write(file, "x", 1), -1);
  EXPECT_EQ(ftruncate(file, 1), -1);
  EXPECT_EQ(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
  close(file);
}

// -- many at once -----------------------------------------------------------------------------------------------------

/// One side sends, and another thread of the other side looks at what came for a while, and sees that it stays as it
/// is.
TEST_F(segments_test, stress_nothing_changes_while_it_is_looked_at) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mutex mutex;
  std::deque<std::pair<char, buffer>> arrived;  // guarded by mutex
  std::atomic<bool> over = false;
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> readers;
  for (int i = 0; i != 3; ++i)
    readers.emplace_back([&] {
      while (!over) {
        std::pair<char, buffer> one{};
        {
          const std::lock_guard lock{mutex};
          if (arrived.size() < 4) {
            std::this_thread::yield();
            continue;
          }
          one = std::move(arrived.front());
          arrived.pop_front();
        }
        for (const char c : one.second.view())
          wrong += c != one.first ? 1 : 0;
      }
    });
  std::mt19937 random{seed};
  int again = 0;
  const auto backlog = [&] {
    const std::lock_guard lock{mutex};
    return arrived.size();
  };
  for (int i = 0; i != 3000; ++i) {
    const char c = static_cast<char>('a' + i % 26);
    while (backlog() >= most_segments / 2)
      std::this_thread::yield();
    const std::string text(1 + random() % 60'000, c);
    auto seen = send(text);
    for (; !seen; seen = send(text)) {
      ASSERT_EQ(seen.error().code, status_code::resource_exhausted) << seen.error().message();
      answer();
      std::this_thread::yield();
    }
    again += made ? 0 : 1;
    {
      const std::lock_guard lock{mutex};
      arrived.emplace_back(c, *std::move(seen));
    }
    if (random() % 3 == 0)
      answer();
    if (random() % 50 == 0) {
      here.own.drop_one();
      EXPECT_TRUE(there.heed(here.tell()));
    }
    if (random() % 50 == 0) {
      there.others.return_one();
      answer();
    }
  }
  over = true;
  readers.clear();
  arrived.clear();
  answer();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(again, 0);
  while (here.own.drop_one()) {
  }
  EXPECT_TRUE(there.heed(here.tell()));
  EXPECT_EQ(here.own.size(), 0u);
  EXPECT_EQ(there.others.size(), 0u);
}

}  // namespace
}  // namespace troupe
