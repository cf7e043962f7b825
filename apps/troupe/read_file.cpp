#include "apps/troupe/read_file.hpp"

#include <cerrno>
#include <fstream>
#include <limits>
#include <system_error>

namespace troupe::cli {
namespace {

constexpr std::size_t largest_message = std::numeric_limits<int>::max();

}  // namespace

expected<std::string> read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::string bytes;
  char chunk[64 * 1024];
  while (file && bytes.size() <= largest_message) {
    file.read(chunk, sizeof chunk);
    bytes.append(chunk, static_cast<std::size_t>(file.gcount()));
  }
  if (!file.eof() && bytes.size() <= largest_message)
    return make_error(status_code::not_found,
                      "file '" + path + "' can't be read: " + std::generic_category().message(errno));
  if (bytes.size() > largest_message)
    return make_error(status_code::invalid_argument,
                      "file '" + path + "' is larger than the 2 GiB that a message can hold");
  return bytes;
}

}  // namespace troupe::cli
