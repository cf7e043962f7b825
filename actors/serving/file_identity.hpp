#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <optional>

namespace troupe {

/// Tells a file from the one that was there before under the same name, and from itself before it was written to.
struct file_identity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;            ///< bytes
  std::int64_t modified_second = 0;  ///< since the epoch
  std::int64_t modified_nanosecond = 0;

  friend bool operator==(const file_identity&, const file_identity&) = default;
};

/// Nothing when there is no such file.
inline std::optional<file_identity> identity_of(const std::filesystem::path& file) {
  struct stat found {};
  if (stat(file.c_str(), &found) != 0)
    return std::nullopt;
  return file_identity{found.st_dev, found.st_ino, static_cast<std::uint64_t>(found.st_size), found.st_mtim.tv_sec,
                       found.st_mtim.tv_nsec};
}

}  // namespace troupe
