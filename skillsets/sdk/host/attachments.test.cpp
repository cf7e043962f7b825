#include "skillsets/sdk/host/attachments.hpp"

#include "skillsets/sdk/host/testing.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <filesystem>
#include <iterator>
#include <optional>

namespace troupe {
namespace {

using testing_support::socket_pair;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span{text.data(), text.size()});
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all{"/proc/self/fd"};
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// A file as only a careless or a malicious process makes it.
int unsealed(const std::string& text, unsigned seals = 0) {
  const int file = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  EXPECT_EQ(write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(fcntl(file, F_ADD_SEALS, seals), 0);
  return file;
}

TEST(attachments, are_viewed_as_they_were_and_for_as_long_as_anybody_looks) {
  const auto before = open_descriptors();
  std::optional<buffer> seen;
  {
    attachments files;
    EXPECT_EQ(*files.add(bytes_of("first")), 0u);
    EXPECT_EQ(*files.add(bytes_of("second")), 1u);
    seen = *files.view(1, 6);
    EXPECT_EQ(files.view(0, 3)->view(), "fir");
    EXPECT_EQ(files.view(0, 0)->size(), 0u);
  }
  EXPECT_EQ(seen->view(), "second");
  EXPECT_EQ(open_descriptors(), before);
}

TEST(attachments, that_are_not_there_or_too_short_are_data_loss) {
  attachments files;
  ASSERT_TRUE(files.add(bytes_of("12345")));
  EXPECT_EQ(files.view(1, 1).error().code, status_code::data_loss);
  EXPECT_EQ(files.view(0, 6).error().cause, "attachment 0 of a message has 5 bytes and not 6");
  EXPECT_EQ(files.view(0, ~std::uint64_t{0}).error().code, status_code::data_loss);
}

TEST(attachments, that_somebody_could_still_change_are_data_loss) {
  attachments files;
  files.adopt(unsealed("12345"));
  files.adopt(unsealed("12345", F_SEAL_SHRINK));
  files.adopt(unsealed("12345", F_SEAL_WRITE));
  files.adopt(open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (std::uint32_t number = 0; number != 4; ++number)
    EXPECT_EQ(files.view(number, 5).error().cause,
              "attachment " + std::to_string(number) + " of a message can still be changed");
}

TEST(attachments, are_no_more_than_a_message_can_have) {
  attachments files;
  for (std::size_t i = 0; i != attachments::most; ++i)
    ASSERT_TRUE(files.add(bytes_of("x")));
  EXPECT_EQ(files.add(bytes_of("x")).error().code, status_code::resource_exhausted);
}

/// Failures stand for messages of any kind.
host::wire::Failure message(std::string cause) {
  host::wire::Failure made;
  made.set_cause(std::move(cause));
  return made;
}

TEST(attachments, come_with_their_own_message_and_no_other) {
  socket_pair sockets;
  outgoing_frames out;
  for (const auto* name : {"none", "one", "two", "none again"}) {
    attachments files;
    if (name == std::string{"one"} || name == std::string{"two"}) {
      ASSERT_TRUE(files.add(bytes_of(name)));
    }
    if (name == std::string{"two"}) {
      ASSERT_TRUE(files.add(bytes_of("more")));
    }
    ASSERT_TRUE(out.append(message(name), std::move(files)));
  }
  ASSERT_TRUE(out.send_some(sockets[0]));
  EXPECT_TRUE(out.empty());
  frame_reader reader{sockets[1]};
  for (const auto& [name, count] : {std::pair{"none", 0}, {"one", 1}, {"two", 2}, {"none again", 0}}) {
    host::wire::Failure read;
    ASSERT_TRUE(reader.read(read));
    EXPECT_EQ(read.cause(), name);
    const auto files = reader.take_files();
    ASSERT_EQ(files.descriptors().size(), static_cast<std::size_t>(count));
    if (count > 0) {
      EXPECT_EQ(files.view(0, 3)->view(), name);
    }
  }
}

TEST(attachments, that_nobody_takes_are_closed) {
  const auto before = open_descriptors();
  {
    socket_pair sockets;
    frame_writer out{sockets[0]};
    frame_reader reader{sockets[1]};
    for (int i = 0; i != 3; ++i) {
      attachments files;
      ASSERT_TRUE(files.add(bytes_of("x")));
      ASSERT_TRUE(out.write(message("x"), std::move(files)));
      host::wire::Failure read;
      if (i < 2) {
        ASSERT_TRUE(reader.read(read));
      }
    }
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(attachments, too_many_are_data_loss_and_none_stays_open) {
  const auto before = open_descriptors();
  {
    socket_pair sockets;
    const std::vector<int> many(attachments::most + 10, sockets[0]);
    std::vector<char> space(CMSG_SPACE(many.size() * sizeof(int)));
    char byte = 0;
    iovec data{&byte, 1};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = space.data();
    header.msg_controllen = space.size();
    auto* const control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(many.size() * sizeof(int));
    std::memcpy(CMSG_DATA(control), many.data(), many.size() * sizeof(int));
    ASSERT_EQ(sendmsg(sockets[0], &header, 0), 1);
    host::wire::Failure read;
    EXPECT_EQ(frame_reader{sockets[1]}.read(read).error().code, status_code::data_loss);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(attachments, carry_what_a_tensor_has_where_it_is_much) {
  const std::string much(attachments::worthwhile, 'm');
  const inference_request request{
      {tensor{"much", datatype::uint8, {static_cast<std::int64_t>(much.size())}, buffer::take(std::string{much})},
       tensor{"little", datatype::uint8, {3}, buffer::take(std::string{"abc"})}},
      {}};
  attachments files;
  const auto wired = std::make_shared<host::wire::Request>();
  host::to_wire(request, *wired, &files);
  EXPECT_EQ(files.descriptors().size(), 1u);
  EXPECT_LT(wired->ByteSizeLong(), 200u);
  const auto read = host::from_wire(*wired, wired, files);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->inputs[0].data.view(), much);
  EXPECT_EQ(read->inputs[1].data.view(), "abc");
  EXPECT_EQ(host::from_wire(*wired, wired).error().code, status_code::data_loss) << "without its files";
}

}  // namespace
}  // namespace troupe
