#pragma once

#include "actors/concurrency/clock.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/gateway/http/api_key.hpp"
#include "actors/gateway/http/watched_files.hpp"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// Who may ask, and how much: the keys of a file, which is read again when it has changed. A file that can't be read
/// leaves those that were there, and is told of in the log. Thread-safe.
class api_keys {
  struct holder;
  struct usage;

 public:
  /// The right to one request, which counts as running for as long as this lives.
  class pass {
   public:
    pass(pass&& other) noexcept = default;
    pass& operator=(pass&&) = delete;
    ~pass();

    const std::string& name() const noexcept;
    std::uint64_t number() const noexcept;  ///< of the key, the same in every node

   private:
    friend class api_keys;
    explicit pass(std::shared_ptr<const holder> whose) : whose_(std::move(whose)) {}

    std::shared_ptr<const holder> whose_;
  };

  /// `file` is where `keys` came from.
  api_keys(std::filesystem::path file, std::vector<api_key> keys, clock& by);

  /// Lets in who has `Authorization: Bearer KEY`. UNAUTHENTICATED when there is no such key; RESOURCE_EXHAUSTED when it
  /// has made its requests of this minute, or has as many running as it may; with when to try again.
  expected<pass> admit(std::string_view authorization);

 private:
  void look_again();
  void take_over(std::vector<api_key> keys);
  std::shared_ptr<const holder> find(const api_key_hash& hash) const;

  const std::filesystem::path file_;
  clock& clock_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<const holder>> holders_;
  watched_files watched_;  // guarded by mutex_
};

}  // namespace troupe
