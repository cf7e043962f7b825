#include "skillsets/text_embedding/safetensors.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

namespace troupe {
namespace {

struct safetensors : testing::Test {
  safetensors() { std::filesystem::create_directories(folder); }
  ~safetensors() override { std::filesystem::remove_all(folder); }

  expected<safetensors_file> open_bytes(const std::string& bytes) {
    const auto path = folder / "weights.safetensors";
    std::ofstream{path, std::ios::binary} << bytes;
    return safetensors_file::open(path);
  }

  /// A file with the right length before the header.
  expected<safetensors_file> open(const std::string& header, const std::string& data) {
    const std::uint64_t length = header.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    return open_bytes(bytes + header + data);
  }

  void expect_error(const expected<safetensors_file>& file, const std::string& part) {
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, status_code::invalid_argument);
    EXPECT_NE(file.error().cause.find(part), std::string::npos) << file.error().cause;
    EXPECT_NE(file.error().cause.find("weights.safetensors"), std::string::npos) << file.error().cause;
  }

  std::filesystem::path folder =
      std::filesystem::path{testing::TempDir()} / ("safetensors_" + std::to_string(::getpid()));
};

TEST_F(safetensors, gives_every_tensor_its_bytes) {
  const auto file = open(R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2],"data_offsets":[4,8]},)"
                         R"("a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},)"
                         R"("none":{"dtype":"I64","shape":[0],"data_offsets":[8,8]}})",
                         "01234567");
  ASSERT_TRUE(file) << file.error().cause;
  ASSERT_EQ(file->tensors().size(), 3u);
  EXPECT_EQ(file->find("b")->type, "F16");
  EXPECT_EQ(file->find("b")->shape, (std::vector<std::int64_t>{2}));
  EXPECT_EQ(std::memcmp(file->find("b")->data.data(), "4567", 4), 0);
  EXPECT_EQ(file->find("__metadata__"), nullptr);
}

TEST_F(safetensors, a_missing_file_is_not_found) {
  const auto file = safetensors_file::open(folder / "nothing");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, status_code::not_found);
}

TEST_F(safetensors, refuses_what_is_no_safetensors_file) {
  expect_error(open_bytes(""), "too few");
  expect_error(open_bytes("1234567"), "too few");
  expect_error(open_bytes(std::string(8, '\xff')), "claims a header");
  expect_error(open_bytes(std::string("\x09\0\0\0\0\0\0\0{}", 10)), "claims a header");
  expect_error(open_bytes("garbage garbage garbage"), "claims a header");
  expect_error(open("{\"a\":", ""), "not a JSON object");
  expect_error(open("[]", ""), "not a JSON object");
  expect_error(open("{\"\xff\":1}", ""), "not a JSON object");
  expect_error(open(std::string(100'000, '['), ""), "not a JSON object");
  expect_error(open(std::string(100'000'001, ' '), ""), "claims a header");
}

TEST_F(safetensors, refuses_a_folder) {
  std::filesystem::create_directory(folder / "weights.safetensors");
  expect_error(safetensors_file::open(folder / "weights.safetensors"), "not a file");
}

TEST_F(safetensors, refuses_entries_that_do_not_hold_together) {
  const auto entry = [](const std::string& type, const std::string& shape, const std::string& offsets) {
    return R"({"a":{"dtype":)" + type + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  const std::string data(8, 'x');
  expect_error(open(R"({"a":1})", data), "tensor 'a' lacks");
  expect_error(open(R"({"a":{"dtype":"F32","shape":[2]}})", data), "tensor 'a' lacks");
  expect_error(open(entry("\"F31\"", "[2]", "[0,8]"), data), "unknown dtype");
  expect_error(open(entry("1", "[2]", "[0,8]"), data), "unknown dtype");
  expect_error(open(entry("\"F32\"", "2", "[0,8]"), data), "shape");
  expect_error(open(entry("\"F32\"", "[-2]", "[0,8]"), data), "extent");
  expect_error(open(entry("\"F32\"", "[2.0]", "[0,8]"), data), "extent");
  expect_error(open(entry("\"F32\"", "[2]", "[0]"), data), "data_offsets");
  expect_error(open(entry("\"F32\"", "[2]", "[8,0]"), data), "data_offsets");
  expect_error(open(entry("\"F32\"", "[2]", "[-8,0]"), data), "data_offsets");
  expect_error(open(entry("\"F32\"", "[2]", "[0,16]"), data), "ends at byte 16");
  expect_error(open(entry("\"F32\"", "[3]", "[0,8]"), data), "has 8 bytes");
  expect_error(open(entry("\"F32\"", "[4294967296,4294967296]", "[0,8]"), data), "has 8 bytes");
}

TEST_F(safetensors, refuses_overlaps_gaps_and_left_overs) {
  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second + "}}";
  };
  EXPECT_TRUE(open(two("[4,8]", "[0,4]"), std::string(8, 'x')));
  expect_error(open(two("[0,4]", "[2,6]"), std::string(6, 'x')), "'b' overlaps");
  expect_error(open(two("[0,4]", "[0,4]"), std::string(4, 'x')), "overlaps");
  expect_error(open(two("[0,4]", "[6,10]"), std::string(10, 'x')), "'b' overlaps with another or leaves a gap");
  expect_error(open(two("[0,4]", "[4,8]"), std::string(9, 'x')), "belong to no tensor");
  expect_error(open(two("[0,4]", "[4,8]"), std::string(7, 'x')), "'b' ends at byte 8");
}

}  // namespace
}  // namespace troupe
