#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/gateway/http/exchange.hpp"

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/message.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace troupe {

/// Why the server answers a request itself, and how.
struct http_refusal {
  int status;
  error why;
  http_fields fields = {};  ///< beside those of the form
  bool keeps_alive = true;  ///< false: where the next request would begin is not known, or not worth waiting for
};

/// What a request asks for, as it came: parts of its target.
struct request_target {
  std::string_view path;   ///< of `*` it is that
  std::string_view query;  ///< without the question mark
};

/// Takes a target apart: `/path?query`, `http://host/path?query`, or `*`. Nothing for anything else.
std::optional<request_target> parse_target(std::string_view target);

/// The client's `x-request-id`, where it is one that can stand in logs and headers: 1 to 128 letters, digits and
/// `-_.:/+=@`. Otherwise a random one.
std::string request_id(std::string_view asked_for);

/// Reads the head of a request into `to`: all but body, captures, peer and client. Answers what is wrong with it beyond
/// what a parser sees, with what could be read in `to`; above all whatever another server might read in another way.
std::optional<http_refusal> read_head(const boost::beast::http::request_header<>& head, bool chunked, http_request& to);

/// Why the parser could not read a request. `has_line`: whether the limit let it see all of the first line.
http_refusal refuse_unreadable(boost::beast::http::error why, bool has_line);

/// The moment as in a `Date` field; made anew once a second. One for each thread.
std::string_view http_date();

}  // namespace troupe
