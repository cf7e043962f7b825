#pragma once

#include "actors/gateway/http/exchange.hpp"

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

/// What a route table has for a request.
struct found_route {
  const http_handler* handler = nullptr;        ///< null: there is none
  std::map<std::string, std::string> captures;  ///< percent-decoded
};

/// Which handler answers which requests. A server takes over HEAD, which is answered by the handler of GET, and
/// OPTIONS. Filled before the server starts, and only read afterwards.
class route_table {
 public:
  /// Has `handler` answer `method` on paths like `pattern`: `/v1/models/{id}`, where `{id}` stands for one segment that
  /// is not empty. A segment that is spelled out goes before one that is not. Throws std::invalid_argument for a
  /// pattern that is none, and one that is there already: a mistake of the program.
  void add(std::string_view method, std::string_view pattern, http_handler handler);

  /// Has errors on paths that begin with `prefix` told in `form`; of several prefixes the longest counts.
  void describe_errors(std::string prefix, http_error_form form);

  /// Finds the route for a path as it came: segments are told apart before they are percent-decoded.
  found_route find(std::string_view method, std::string_view path) const;

  /// The methods of the path, as in `Allow`; empty where there is no such path.
  std::string allowed(std::string_view path) const;

  /// How errors on `path` are told; without a form for it as `{"error":"CODE: message"}`.
  http_response describe_error(int status, const error& why, const http_request& asked) const;

 private:
  struct segment {
    std::string text;
    bool captures;

    friend bool operator==(const segment&, const segment&) = default;
  };

  struct route {
    bool fits(const std::vector<std::string>& path) const;

    std::vector<segment> segments;
    std::map<std::string, http_handler, std::less<>> handlers;  // by method
  };

  static std::vector<segment> parse(std::string_view pattern);

  std::vector<route> routes_;                                   // spelled-out segments first
  std::vector<std::pair<std::string, http_error_form>> forms_;  // longest prefix first
};

/// `text` with each %XX replaced by the byte it stands for. INVALID_ARGUMENT where a % begins no such thing, and for
/// %00.
expected<std::string> percent_decode(std::string_view text);

}  // namespace troupe
