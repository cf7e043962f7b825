#pragma once

#include "actors/concurrency/clock.hpp"
#include "actors/serving/file_identity.hpp"

#include <chrono>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

namespace troupe {

/// Tells when files are to be read again, without looking at them for every request. Not thread-safe.
class watched_files {
 public:
  /// They have been read, or are about to be: what changes from now on is seen to have changed.
  watched_files(std::vector<std::filesystem::path> files, clock& by)
      : files_(std::move(files)), clock_(by), seen_(look()), next_look_(by.now() + between_looks) {}

  /// Whether one of them is another than when they were looked at last, which is not done for another second then.
  bool have_changed() {
    const auto now = clock_.now();
    if (now < next_look_)
      return false;
    next_look_ = now + between_looks;
    auto found = look();
    if (found == seen_)
      return false;
    seen_ = std::move(found);
    return true;
  }

 private:
  static constexpr std::chrono::seconds between_looks{1};

  std::vector<std::optional<file_identity>> look() const {
    std::vector<std::optional<file_identity>> found;
    for (const auto& file : files_)
      found.push_back(identity_of(file));
    return found;
  }

  const std::vector<std::filesystem::path> files_;
  clock& clock_;
  std::vector<std::optional<file_identity>> seen_;
  steady_clock::time_point next_look_;
};

}  // namespace troupe
