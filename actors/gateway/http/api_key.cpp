#include "actors/gateway/http/api_key.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>

namespace troupe {
namespace {

constexpr std::size_t longest_name = 64;
constexpr std::size_t longest_file = 1 << 20;

error wrong(std::string cause) {
  return make_error(status_code::invalid_argument, std::move(cause), "'troupe keys new NAME' makes a key and its line");
}

std::optional<api_key_hash> parse_hash(std::string_view digits) {
  api_key_hash hash{};
  if (digits.size() != 2 * hash.size())
    return std::nullopt;
  for (std::size_t i = 0; i != hash.size(); ++i) {
    const auto* at = digits.data() + 2 * i;
    if (std::from_chars(at, at + 2, hash[i], 16).ptr != at + 2)
      return std::nullopt;
  }
  return hash;
}

/// The number in `PREFIX` number `SUFFIX`, from 1 on.
std::optional<std::uint32_t> parse_limit(std::string_view word, std::string_view prefix, std::string_view suffix) {
  if (!word.starts_with(prefix) || !word.ends_with(suffix) || word.size() <= prefix.size() + suffix.size())
    return std::nullopt;
  word = word.substr(prefix.size(), word.size() - prefix.size() - suffix.size());
  std::uint32_t number = 0;
  const auto parsed = std::from_chars(word.data(), word.data() + word.size(), number);
  if (parsed.ec != std::errc{} || parsed.ptr != word.data() + word.size() || number == 0)
    return std::nullopt;
  return number;
}

}  // namespace

expected<std::string> make_api_key() {
  std::array<unsigned char, 32> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1)
    return make_error(status_code::unavailable, "the system has no random numbers", "try again");
  std::array<unsigned char, 48> text{};
  const auto length = EVP_EncodeBlock(text.data(), random.data(), static_cast<int>(random.size()));
  std::string key{text.begin(), text.begin() + length};
  std::replace(key.begin(), key.end(), '+', '-');
  std::replace(key.begin(), key.end(), '/', '_');
  key.resize(key.find_last_not_of('=') + 1);
  return "tk-" + key;
}

bool is_api_key_name(std::string_view text) noexcept {
  return !text.empty() && text.size() <= longest_name && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

api_key_hash hash_api_key(std::string_view key) noexcept {
  api_key_hash hash{};
  EVP_Digest(key.data(), key.size(), hash.data(), nullptr, EVP_sha256(), nullptr);
  return hash;
}

std::string to_line(const api_key& key) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string line = key.name + ' ';
  for (const auto byte : key.hash)
    (line += digits[byte >> 4]) += digits[byte & 15];
  if (key.per_minute > 0)
    line += " rate=" + std::to_string(key.per_minute) + "/min";
  if (key.concurrent > 0)
    line += " concurrent=" + std::to_string(key.concurrent);
  return line;
}

expected<api_key> parse_api_key(std::string_view line) {
  std::istringstream words{std::string{line}};
  std::string hash, word;
  api_key key;
  words >> key.name >> hash;
  if (!is_api_key_name(key.name))
    return wrong("'" + shortened(key.name, longest_name) + "' can't be the name of a key");
  const auto parsed = parse_hash(hash);
  if (!parsed)
    return wrong("the key '" + key.name + "' has no SHA-256 of 64 hexadecimal digits after its name");
  key.hash = *parsed;
  while (words >> word) {
    if (const auto rate = parse_limit(word, "rate=", "/min"); rate && key.per_minute == 0)
      key.per_minute = *rate;
    else if (const auto concurrent = parse_limit(word, "concurrent=", ""); concurrent && key.concurrent == 0)
      key.concurrent = *concurrent;
    else
      return wrong("'" + shortened(word, longest_name) + "' of the key '" + key.name +
                   "' is neither rate=N/min nor concurrent=N, or is there twice");
  }
  return key;
}

expected<std::vector<api_key>> read_api_keys(const std::filesystem::path& file) {
  std::ifstream in{file};
  std::vector<api_key> keys;
  std::string line;
  std::size_t number = 0, size = 0;
  const auto wrong_here = [&](const std::string& what) {
    return wrong("'" + file.string() + "', line " + std::to_string(number) + ": " + what);
  };
  while (std::getline(in, line)) {
    ++number;
    size += line.size();
    if (size > longest_file)
      return wrong_here("the file is larger than a mebibyte");
    if (line.find_first_not_of(" \t\r") == std::string::npos || line.front() == '#')
      continue;
    auto key = parse_api_key(line);
    if (!key)
      return wrong_here(key.error().cause);
    for (const auto& other : keys)
      if (other.name == key->name || other.hash == key->hash)
        return wrong_here("'" + key->name + "' has the name or the key of '" + other.name + "'");
    keys.push_back(*std::move(key));
  }
  if (in.bad() || (number == 0 && !std::ifstream{file}))
    return make_error(status_code::not_found, "the API keys in '" + file.string() + "' can't be read",
                      "name a file that this user may read");
  if (keys.empty())
    return wrong("there is no key in '" + file.string() + "'");
  return keys;
}

}  // namespace troupe
