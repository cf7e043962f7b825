#pragma once

#include "actors/gateway/http/exchange.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// Which pages of other origins may ask a node in their reader's browser (the fetch standard's CORS protocol,
/// https://fetch.spec.whatwg.org/#http-cors-protocol). Without origins none may, and nothing is said of it.
class cors_policy {
 public:
  /// `*` stands for all.
  explicit cors_policy(std::vector<std::string> origins) : origins_(std::move(origins)) {}

  /// Adds to an answer what lets the page of `asked` read it, if it may.
  void allow(const http_request& asked, http_fields& answer) const;

  /// True for the question of a browser whether a page may ask what is more than a form could.
  static bool is_preflight(const http_request& asked);

  /// Adds the answer to that: `methods`, and whatever fields the page wants to send.
  void allow_preflight(const http_request& asked, std::string_view methods, http_fields& answer) const;

 private:
  bool allows(std::string_view origin) const;

  const std::vector<std::string> origins_;
};

}  // namespace troupe
