#include "skillsets/sdk/host/memory_file.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace troupe {
namespace {

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

}  // namespace

error no_more(const char* what) {
  return make_error(status_code::resource_exhausted,
                    std::string{"cannot "} + what + " for a large tensor: " + std::generic_category().message(errno),
                    "see what the system lacks: descriptors or memory");
}

expected<std::shared_ptr<const mapping>> mapping::make(int file, std::size_t size, kind how) {
  const int protection = how == kind::writable ? PROT_READ | PROT_WRITE : PROT_READ;
  // Before Linux 6.7 a file that is sealed against writing can't be mapped as shared, even to be read. Of what nobody
  // can change a private mapping is the same, without a copy.
  const int flags = how == kind::sealed ? MAP_PRIVATE | MAP_POPULATE : MAP_SHARED;
  void* const begin = mmap(nullptr, size, protection, flags, file, 0);
  if (begin == MAP_FAILED)
    return no_more("map a file");
  return std::shared_ptr<const mapping>{new mapping{static_cast<std::byte*>(begin), size}};
}

mapping::~mapping() {
  munmap(begin_, size_);
}

expected<int> make_memory_file(std::span<const std::byte> bytes) {
  const int file = memfd_create("troupe-tensor", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0)
    return no_more("make a file");
  // Written, and not mapped and filled: so the system makes all pages at once, and not one a fault.
  if (auto filled = write_all(file, bytes); !filled) {
    close(file);
    return filled.error();
  }
  return file;
}

}  // namespace troupe
