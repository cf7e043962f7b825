#include "apps/troupe/output.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

using namespace std::string_literals;
using testing::EndsWith;
using testing::HasSubstr;

/// More than output's buffer and a pipe hold together.
constexpr std::size_t plenty = 1 << 20;

/// A pipe, as the shell makes one. The programs of the project ignore SIGPIPE, and so do these tests.
struct output_to_pipe : testing::Test {
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  }

  void TearDown() override {
    close_end(0);
    close_end(1);
  }

  void close_end(std::size_t end) {
    if (ends[end] >= 0)
      ::close(ends[end]);
    ends[end] = -1;
  }

  /// What arrives until the writing end is closed.
  std::string drain() const {
    std::string all;
    std::array<char, 4096> chunk;
    for (ssize_t size; (size = ::read(ends[0], chunk.data(), chunk.size())) > 0;)
      all.append(chunk.data(), static_cast<std::size_t>(size));
    return all;
  }

  std::array<int, 2> ends{-1, -1};
};

/// A descriptor that is closed with its scope.
struct opened {
  opened(const char* path, int flags) : descriptor(::open(path, flags | O_CLOEXEC)) {}
  ~opened() { ::close(descriptor); }
  int descriptor;
};

TEST_F(output_to_pipe, arrives_whole_and_in_order) {
  std::string expected;
  std::string got;
  std::thread reader{[&] { got = drain(); }};
  output out{ends[1]};
  for (int i = 0; expected.size() < plenty; ++i) {
    const auto line = std::to_string(i) + "\n";
    expected += line;
    EXPECT_TRUE(out.print(line));
  }
  EXPECT_TRUE(out.print(expected)) << "one text larger than the buffer";
  EXPECT_TRUE(out.flush());
  close_end(1);
  reader.join();
  EXPECT_EQ(got.size(), 2 * expected.size());
  EXPECT_TRUE(got == expected + expected);
  EXPECT_FALSE(out.reader_gone());
}

TEST_F(output_to_pipe, is_held_back_until_flushed) {
  ASSERT_EQ(::fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
  output out{ends[1]};
  EXPECT_TRUE(out.print("a\0b\n"s));
  EXPECT_EQ(drain(), "");
  EXPECT_TRUE(out.flush());
  EXPECT_EQ(drain(), "a\0b\n"s);
  EXPECT_TRUE(out.flush()) << "nothing is left to write";
  EXPECT_EQ(drain(), "");
}

TEST_F(output_to_pipe, a_reader_that_has_seen_enough_is_told_apart) {
  output out{ends[1]};
  EXPECT_TRUE(out.print("x"));
  EXPECT_FALSE(out.reader_gone());
  close_end(0);
  EXPECT_FALSE(out.flush());
  EXPECT_TRUE(out.reader_gone());
  EXPECT_FALSE(out.print("y")) << "the command ends";
  EXPECT_FALSE(out.flush());
  EXPECT_TRUE(out.reader_gone()) << "a second flush changes nothing";
}

TEST_F(output_to_pipe, a_reader_may_leave_in_the_middle_of_a_write) {
  std::thread reader{[&] {
    char first;
    EXPECT_EQ(::read(ends[0], &first, 1), 1);
    close_end(0);
  }};
  output out{ends[1]};
  EXPECT_FALSE(out.print(std::string(plenty, 'x')));
  reader.join();
  EXPECT_TRUE(out.reader_gone());
}

TEST_F(output_to_pipe, a_full_non_blocking_pipe_is_waited_for) {
  // Whoever shares the pipe can make it non-blocking, node.js for one.
  ASSERT_EQ(::fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  std::string got;
  std::thread reader{[&] { got = drain(); }};
  output out{ends[1]};
  EXPECT_TRUE(out.print(std::string(plenty, 'x')));
  EXPECT_TRUE(out.flush());
  close_end(1);
  reader.join();
  EXPECT_EQ(got.size(), plenty);
}

TEST(output, a_full_device_is_a_failure) {
  const opened full{"/dev/full", O_WRONLY};
  output out{full.descriptor};
  EXPECT_TRUE(out.print("x")) << "still buffered";
  EXPECT_FALSE(out.flush());
  EXPECT_FALSE(out.reader_gone());
  EXPECT_EQ(out.failure().code, status_code::internal);
  EXPECT_EQ(out.failure().cause, "standard output can't be written: No space left on device");
  EXPECT_FALSE(out.print("y"));
  EXPECT_FALSE(out.flush());
  EXPECT_THAT(out.failure().cause, EndsWith("No space left on device")) << "the first cause stays";
}

TEST(output, print_notices_a_full_device_when_its_buffer_is_full) {
  const opened full{"/dev/full", O_WRONLY};
  output out{full.descriptor};
  std::size_t printed = 0;
  while (printed != plenty && out.print("0123456789abcdef"))
    printed += 16;
  EXPECT_LT(printed, plenty) << "a command that never flushes would run for ever";
  EXPECT_THAT(out.failure().cause, HasSubstr("No space left on device"));
}

TEST(output, a_closed_descriptor_is_a_failure) {
  output out{-1};
  EXPECT_TRUE(out.flush()) << "nothing was printed";
  EXPECT_TRUE(out.print("x"));
  EXPECT_FALSE(out.flush());
  EXPECT_FALSE(out.reader_gone());
  EXPECT_THAT(out.failure().cause, HasSubstr("Bad file descriptor"));
}

TEST(output, a_descriptor_for_reading_is_a_failure) {
  const opened null{"/dev/null", O_RDONLY};
  output out{null.descriptor};
  EXPECT_TRUE(out.print("x"));
  EXPECT_FALSE(out.flush());
}

TEST(complain, writes_one_line) {
  testing::internal::CaptureStderr();
  complain("a\nb\x1b[31m\xff");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "troupe: a b [31m?\n");
}

TEST(fail, reports_the_error_and_gives_its_exit_code) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(fail(make_error(status_code::not_found, "no model 'x'", "see troupe models")), exit_code::not_found);
  EXPECT_EQ(fail_usage(make_error(status_code::invalid_argument, "what?")), exit_code::usage);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "troupe: NOT_FOUND: no model 'x'; see troupe models\n"
            "troupe: USAGE: what?\n");
}

TEST(fail, a_closed_standard_error_changes_nothing) {
  // In a process of its own, as the tests still need theirs.
  EXPECT_EXIT(
      {
        ::close(STDERR_FILENO);
        ::_exit(static_cast<int>(fail(make_error(status_code::unavailable, "nobody answers"))));
      },
      testing::ExitedWithCode(static_cast<int>(exit_code::unavailable)), "");
}

}  // namespace
}  // namespace troupe::cli
