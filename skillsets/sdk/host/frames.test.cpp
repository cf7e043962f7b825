#include "skillsets/sdk/host/frames.hpp"

#include "skillsets/sdk/host/testing.hpp"

#include <gtest/gtest.h>

#include <map>
#include <thread>

namespace troupe {
namespace {

using host::wire::Failure;
using testing_support::socket_pair;

Failure failure(std::string cause) {
  Failure message;
  message.set_code(13);
  message.set_cause(std::move(cause));
  return message;
}

/// A message as it crosses.
std::string frame(const Failure& message) {
  const auto bytes = message.SerializeAsString();
  const auto length = static_cast<std::uint32_t>(bytes.size());
  return std::string{reinterpret_cast<const char*>(&length), 4} + bytes;
}

void send_bytes(int socket, const std::string& bytes) {
  ASSERT_EQ(send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
}

TEST(frames, begin_with_their_length_in_four_bytes_little_endian) {
  socket_pair sockets;
  ASSERT_TRUE(frame_writer{sockets[0]}.write(failure("x")));
  std::array<char, 64> bytes{};
  const auto n = recv(sockets[1], bytes.data(), bytes.size(), 0);
  const auto body = failure("x").SerializeAsString();
  EXPECT_EQ((std::string{bytes.data(), static_cast<std::size_t>(n)}),
            (std::string{static_cast<char>(body.size()), 0, 0, 0} + body));
}

TEST(frames, are_read_when_they_arrive_byte_by_byte) {
  socket_pair sockets;
  frame_reader reader{sockets[1]};
  const auto bytes = frame(failure("one")) + frame(failure("two"));
  std::vector<std::string> causes;
  for (const char byte : bytes) {
    send_bytes(sockets[0], {byte});
    Failure message;
    const auto read = reader.try_read(message);
    ASSERT_TRUE(read);
    if (*read)
      causes.push_back(message.cause());
  }
  EXPECT_EQ(causes, (std::vector<std::string>{"one", "two"}));
}

TEST(frames, that_arrive_together_are_read_one_by_one) {
  socket_pair sockets;
  send_bytes(sockets[0], frame(failure("one")) + frame(Failure{}) + frame(failure("two")));
  frame_reader reader{sockets[1]};
  Failure message;
  ASSERT_TRUE(reader.read(message));
  EXPECT_EQ(message.cause(), "one");
  ASSERT_TRUE(reader.read(message));
  EXPECT_EQ(message.ByteSizeLong(), 0u);
  ASSERT_TRUE(reader.read(message));
  EXPECT_EQ(message.cause(), "two");
  const auto none = reader.try_read(message);
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
}

TEST(frames, a_length_that_cannot_be_one_is_data_loss) {
  socket_pair sockets;
  send_bytes(sockets[0], "\xff\xff\xff\xff");
  Failure message;
  const auto read = frame_reader{sockets[1]}.read(message);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, status_code::data_loss);
}

TEST(frames, what_is_no_message_is_data_loss) {
  socket_pair sockets;
  send_bytes(sockets[0], std::string{"\x03\x00\x00\x00", 4} + "\xff\xff\xff");
  Failure message;
  const auto read = frame_reader{sockets[1]}.read(message);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, status_code::data_loss);
}

TEST(frames, a_socket_that_closes_is_unavailable_between_and_within_them) {
  const auto whole = frame(failure("one"));
  for (std::size_t sent = 0; sent != whole.size(); ++sent) {
    socket_pair sockets;
    send_bytes(sockets[0], whole.substr(0, sent));
    sockets.close_end(0);
    Failure message;
    const auto read = frame_reader{sockets[1]}.read(message);
    ASSERT_FALSE(read) << sent;
    EXPECT_EQ(read.error().code, status_code::unavailable) << sent;
  }
}

TEST(frames, nothing_can_be_written_where_nobody_reads) {
  socket_pair sockets;
  sockets.close_end(1);
  const auto written = frame_writer{sockets[0]}.write(failure("one"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, status_code::unavailable);
}

TEST(frames, of_several_writers_do_not_mix) {
  constexpr int writers = 4, each = 50;
  socket_pair sockets;
  frame_writer writer{sockets[0]};
  std::vector<std::thread> threads;
  for (int w = 0; w != writers; ++w)
    threads.emplace_back([&writer, w] {
      for (int i = 0; i != each; ++i)
        // Longer than the socket holds, now and then.
        EXPECT_TRUE(writer.write(failure(std::string(i % 10 == 0 ? 1 << 20 : 10, static_cast<char>('a' + w)))));
    });
  frame_reader reader{sockets[1]};
  std::map<char, int> read;
  for (int i = 0; i != writers * each; ++i) {
    Failure message;
    ASSERT_TRUE(reader.read(message));
    ASSERT_EQ(message.cause().find_first_not_of(message.cause().front()), std::string::npos);
    ++read[message.cause().front()];
  }
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(read, (std::map<char, int>{{'a', each}, {'b', each}, {'c', each}, {'d', each}}));
}

}  // namespace
}  // namespace troupe
