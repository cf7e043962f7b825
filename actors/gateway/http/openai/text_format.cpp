#include "actors/gateway/http/openai/text_format.hpp"

#include <openssl/rand.h>

#include <array>
#include <stdexcept>

namespace troupe::openai {

std::string make_id(const std::string& prefix) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::array<unsigned char, 16> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1)
    throw std::runtime_error{"the system has no random numbers"};
  std::string id = prefix;
  for (const auto byte : random) {
    id += digits[byte >> 4];
    id += digits[byte & 15];
  }
  return id;
}

void append_event(std::string& events, const json& data) {
  events += "data: ";
  events += write_document(data);
  events += "\n\n";
}

void append_done(std::string& events) {
  events += "data: [DONE]\n\n";
}

void append_error(std::string& events, const api_error& why) {
  append_event(events, why.body());
}

}  // namespace troupe::openai
