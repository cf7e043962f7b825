#pragma once

#include "actors/concurrency/error.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// SHA-256. Of a key that is random throughout there is nothing to guess, so that it needs neither salt nor slowness.
using api_key_hash = std::array<unsigned char, 32>;

/// What a node knows of a key: not the key.
struct api_key {
  std::string name;  ///< in logs
  api_key_hash hash{};
  std::uint32_t per_minute = 0;  ///< requests; 0: any number
  std::uint32_t concurrent = 0;  ///< requests at once; 0: any number
};

/// A new key: `tk-` and 32 random bytes in base64url. UNAVAILABLE when the system has no random numbers.
expected<std::string> make_api_key();

api_key_hash hash_api_key(std::string_view key) noexcept;

/// Whether a key may be called so: 1 to 64 letters, digits, and `-_.`.
bool is_api_key_name(std::string_view text) noexcept;

/// `NAME HASH [rate=N/min] [concurrent=N]`, with the hash in hexadecimal digits.
std::string to_line(const api_key& key);

/// The same, read. INVALID_ARGUMENT with what is wrong.
expected<api_key> parse_api_key(std::string_view line);

/// Reads a file of such lines; empty ones and those that begin with # are left out. NOT_FOUND when it can't be read,
/// INVALID_ARGUMENT with the line that is wrong, has a name or a key a second time, or when there is no key in it.
expected<std::vector<api_key>> read_api_keys(const std::filesystem::path& file);

}  // namespace troupe
