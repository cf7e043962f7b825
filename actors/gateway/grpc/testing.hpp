#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

namespace troupe::testing_support {

/// A POSIX shared memory object of a test's own, as a client would create it; gone when the test ends.
class shared_object {
 public:
  explicit shared_object(std::string_view content)
      : key_("/troupe-test-" + std::to_string(getpid()) + "-" + std::to_string(next_++)),
        descriptor_(shm_open(key_.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600)) {
    must(descriptor_ >= 0);
    must(pwrite(descriptor_, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()));
  }

  ~shared_object() {
    close(descriptor_);
    unlink();
  }

  shared_object(const shared_object&) = delete;
  shared_object& operator=(const shared_object&) = delete;

  const std::string& key() const noexcept { return key_; }

  /// What a client may do at any moment.
  void resize(off_t size) const { must(ftruncate(descriptor_, size) == 0); }
  void unlink() const { shm_unlink(key_.c_str()); }

  std::string content() const {
    std::string bytes(static_cast<std::size_t>(lseek(descriptor_, 0, SEEK_END)), '\0');
    must(pread(descriptor_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    return bytes;
  }

 private:
  static void must(bool done) {
    if (!done)
      throw std::system_error{errno, std::generic_category()};
  }

  inline static int next_ = 0;

  std::string key_;
  int descriptor_;
};

}  // namespace troupe::testing_support
