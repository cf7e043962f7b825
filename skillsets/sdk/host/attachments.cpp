#include "skillsets/sdk/host/attachments.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

namespace troupe {
namespace {

constexpr int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

error no_more(const char* what) {
  return make_error(status_code::resource_exhausted,
                    std::string{"cannot "} + what + " for a large tensor: " + std::generic_category().message(errno),
                    "see what the system lacks: descriptors or memory");
}

expected<void> write_all(int file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto n = write(file, bytes.data(), bytes.size());
    if (n > 0)
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    else if (errno != EINTR)
      return no_more("fill a file");
  }
  return {};
}

error unusable(std::uint32_t number, const std::string& why) {
  return make_error(status_code::data_loss, "attachment " + std::to_string(number) + " of a message " + why);
}

/// A mapping, gone with the last buffer that views it.
struct mapping {
  mapping(void* where, std::size_t size) noexcept : begin(where), length(size) {}
  ~mapping() { munmap(begin, length); }
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;

  void* const begin;
  const std::size_t length;
};

}  // namespace

attachments::~attachments() {
  for (const int file : files_)
    close(file);
}

expected<std::uint32_t> attachments::add(std::span<const std::byte> bytes) {
  if (files_.size() >= most)
    return make_error(status_code::resource_exhausted, "a message has no more than " + std::to_string(most) + " files");
  const int file = memfd_create("troupe-tensor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0)
    return no_more("make a file");
  files_.push_back(file);
  auto filled = write_all(file, bytes);
  if (filled && fcntl(file, F_ADD_SEALS, sealed) != 0)
    filled = no_more("seal a file");
  if (filled)
    return static_cast<std::uint32_t>(files_.size() - 1);
  close(file);
  files_.pop_back();
  return filled.error();
}

expected<buffer> attachments::view(std::uint32_t number, std::uint64_t size) const {
  if (number >= files_.size())
    return unusable(number, "is not there");
  const int file = files_[number];
  const int seals = fcntl(file, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || (seals & F_SEAL_WRITE) == 0)
    return unusable(number, "can still be changed");
  struct stat what {};
  if (fstat(file, &what) != 0 || static_cast<std::uint64_t>(what.st_size) < size)
    return unusable(number, "has " + std::to_string(what.st_size) + " bytes and not " + std::to_string(size));
  if (size == 0)
    return buffer{};
  void* const begin = mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
  if (begin == MAP_FAILED)
    return no_more("map a file");
  return buffer{std::span{static_cast<const std::byte*>(begin), size}, std::make_shared<mapping>(begin, size)};
}

}  // namespace troupe
