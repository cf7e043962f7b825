#include "apps/troupe/line_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using lines = std::vector<std::string>;

struct pipe_ends {
  pipe_ends() { EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0); }

  ~pipe_ends() {
    ::close(ends[0]);
    close_writer();
  }

  void write(std::string_view text) const {
    while (!text.empty()) {
      const auto size = ::write(ends[1], text.data(), text.size());
      ASSERT_GT(size, 0);
      text.remove_prefix(static_cast<std::size_t>(size));
    }
  }

  void close_writer() {
    if (ends[1] >= 0)
      ::close(ends[1]);
    ends[1] = -1;
  }

  std::array<int, 2> ends{-1, -1};
};

struct line_reading : testing::Test {
  line_reader reader(batch_limits limits = {}) const { return {input.ends[0], stop.ends[0], limits}; }

  /// The whole input, written before reading begins: the shell's `<<<`. Fits into a pipe.
  void all_input(std::string_view text) {
    input.write(text);
    input.close_writer();
  }

  pipe_ends input;
  pipe_ends stop;
};

/// The batch, or a failed test.
lines taken(line_reader& from) {
  auto batch = from.next();
  EXPECT_TRUE(batch) << to_string(batch.error());
  return batch ? *std::move(batch) : lines{};
}

/// What there was instead of a batch; there must be no batch.
error refusal(line_reader& from) {
  const auto batch = from.next();
  EXPECT_FALSE(batch);
  return batch ? error{} : batch.error();
}

/// A file in memory that holds `text`, read from its beginning.
struct memory_file {
  explicit memory_file(std::string_view text) : descriptor(::memfd_create("lines", MFD_CLOEXEC)) {
    while (!text.empty())
      text.remove_prefix(static_cast<std::size_t>(::write(descriptor, text.data(), text.size())));
    ::lseek(descriptor, 0, SEEK_SET);
  }
  ~memory_file() { ::close(descriptor); }
  int descriptor;
};

TEST_F(line_reading, splits_at_newlines_alone) {
  all_input("one\r\n\n two\t\0x\xff\nlast"s);
  auto from = reader();
  EXPECT_THAT(taken(from), ElementsAre("one\r", "", " two\t\0x\xff"s, "last"));
  EXPECT_THAT(taken(from), IsEmpty());
  EXPECT_THAT(taken(from), IsEmpty()) << "the end stays";
}

TEST_F(line_reading, empty_input_has_no_lines) {
  all_input("");
  auto from = reader();
  EXPECT_THAT(taken(from), IsEmpty());
}

TEST_F(line_reading, a_newline_at_the_end_begins_no_line) {
  all_input("\n");
  auto from = reader();
  EXPECT_THAT(taken(from), ElementsAre(""));
  EXPECT_THAT(taken(from), IsEmpty());
}

TEST_F(line_reading, batches_end_at_the_limit_of_lines) {
  all_input("1\n2\n3\n4\n5");
  auto from = reader({.lines = 2});
  EXPECT_THAT(taken(from), ElementsAre("1", "2"));
  EXPECT_THAT(taken(from), ElementsAre("3", "4"));
  EXPECT_THAT(taken(from), ElementsAre("5"));
  EXPECT_THAT(taken(from), IsEmpty());
}

TEST_F(line_reading, batches_end_with_the_line_that_reaches_the_limit_of_bytes) {
  all_input("123\n45\n6\n1234567\n8\n");
  auto from = reader({.bytes = 5});
  EXPECT_THAT(taken(from), ElementsAre("123", "45"));
  EXPECT_THAT(taken(from), ElementsAre("6", "1234567"));
  EXPECT_THAT(taken(from), ElementsAre("8"));
}

TEST_F(line_reading, a_slow_producer_gets_its_answers) {
  auto from = reader();
  input.write("one\ntw");
  EXPECT_THAT(taken(from), ElementsAre("one")) << "without waiting for the rest of the second line";
  input.write("o\n");
  EXPECT_THAT(taken(from), ElementsAre("two"));
  input.write("thr");
  std::thread producer{[&] {
    for (const auto* piece : {"e", "e", "\n"})
      input.write(piece);
    input.close_writer();
  }};
  EXPECT_THAT(taken(from), ElementsAre("three")) << "waits for a whole line";
  EXPECT_THAT(taken(from), IsEmpty());
  producer.join();
}

TEST_F(line_reading, loses_nothing_of_input_of_any_size) {
  lines expected;
  std::string text;
  for (std::size_t i = 0; i != 5000; ++i) {
    expected.push_back(std::string(i * 7919 % 1000, static_cast<char>('a' + i % 26)));
    text += expected.back() + "\n";
  }
  expected.push_back(std::string(300'000, 'z'));  // many chunks
  text += expected.back();
  std::thread producer{[&] { all_input(text); }};
  auto from = reader({.lines = 64, .bytes = 10'000});
  lines got;
  for (auto batch = taken(from); !batch.empty(); batch = taken(from)) {
    EXPECT_LE(batch.size(), 64u);
    got.insert(got.end(), batch.begin(), batch.end());
  }
  producer.join();
  EXPECT_TRUE(got == expected);
}

TEST_F(line_reading, a_line_may_be_as_long_as_the_limit) {
  all_input("12345\n12345");
  auto from = reader({.line_bytes = 5});
  EXPECT_THAT(taken(from), ElementsAre("12345", "12345"));
  EXPECT_THAT(taken(from), IsEmpty());
}

TEST_F(line_reading, a_line_beyond_the_limit_is_an_error) {
  for (const auto* text : {"123456\n", "123456", "123456\n1\n"}) {
    const memory_file file{text};
    line_reader from{file.descriptor, stop.ends[0], {.line_bytes = 5}};
    EXPECT_EQ(refusal(from), make_error(status_code::out_of_range, "a line of standard input is longer than 5 bytes"));
    EXPECT_EQ(refusal(from).code, status_code::out_of_range) << "there is no going on after " << text;
  }
}

TEST_F(line_reading, lines_before_one_beyond_the_limit_are_given_first) {
  for (const auto* text : {"1\n2\n123456\n3\n", "1\n2\n123456"}) {
    const memory_file file{text};
    line_reader from{file.descriptor, stop.ends[0], {.line_bytes = 5}};
    EXPECT_THAT(taken(from), ElementsAre("1", "2")) << text;
    EXPECT_EQ(refusal(from).code, status_code::out_of_range) << text;
  }
}

TEST_F(line_reading, a_line_without_end_needs_no_more_memory_than_the_limit) {
  const auto zeros = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  line_reader from{zeros, stop.ends[0], {.line_bytes = 1 << 20}};
  EXPECT_EQ(refusal(from).code, status_code::out_of_range);
  ::close(zeros);
}

TEST_F(line_reading, stops_while_it_waits) {
  auto from = reader();
  std::thread interrupter{[&] { stop.write("x"); }};
  EXPECT_EQ(refusal(from).code, status_code::cancelled);
  interrupter.join();
}

TEST_F(line_reading, stops_although_there_is_more_to_read) {
  input.write("1\n2\n3\n4\n");
  auto from = reader({.lines = 2});
  EXPECT_THAT(taken(from), ElementsAre("1", "2"));
  stop.write("x");
  EXPECT_EQ(refusal(from).code, status_code::cancelled) << "with lines in the buffer";
  EXPECT_EQ(refusal(from).code, status_code::cancelled) << "and stays so";
}

TEST_F(line_reading, stops_at_the_end_of_a_file_too) {
  all_input("1\n");
  auto from = reader();
  stop.write("x");
  EXPECT_EQ(refusal(from).code, status_code::cancelled);
}

TEST_F(line_reading, input_that_cannot_be_read_is_an_error) {
  const auto directory = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  line_reader from{directory, stop.ends[0]};
  EXPECT_EQ(refusal(from), make_error(status_code::internal, "standard input can't be read: Is a directory"));
  ::close(directory);
}

TEST_F(line_reading, a_closed_descriptor_is_an_error) {
  const auto closed = ::dup(input.ends[0]);
  ::close(closed);
  line_reader from{closed, stop.ends[0]};
  EXPECT_THAT(refusal(from).cause, HasSubstr("Bad file descriptor"));
}

TEST_F(line_reading, the_rest_is_everything_to_the_end) {
  all_input("a\n\nb");
  auto from = reader({.lines = 1});
  EXPECT_THAT(taken(from), ElementsAre("a"));
  EXPECT_EQ(*from.rest(), "\nb");
  EXPECT_EQ(*from.rest(), "");
}

TEST_F(line_reading, the_rest_waits_for_what_comes) {
  auto from = reader();
  std::thread writer{[&] { all_input("later"); }};
  EXPECT_EQ(*from.rest(), "later");
  writer.join();
}

TEST_F(line_reading, the_rest_has_a_bound_and_can_be_stopped) {
  input.write("1234");
  auto bounded = reader({.line_bytes = 3});
  EXPECT_EQ(bounded.rest().error().code, status_code::out_of_range);
  auto from = reader();
  stop.write("x");
  EXPECT_EQ(from.rest().error().code, status_code::cancelled);
}

}  // namespace
}  // namespace troupe::cli
