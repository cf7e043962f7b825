#include "actors/gateway/http/request_head.hpp"

#include "actors/gateway/http/route_table.hpp"

#include <fmt/format.h>
#include <utf8.h>
#include <boost/beast/core/string.hpp>

#include <algorithm>
#include <array>
#include <ctime>
#include <random>

namespace troupe {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t longest_id = 128;
constexpr std::size_t longest_quoted = 256;

http_refusal malformed(std::string cause, std::string remedy = "send HTTP/1.1 as RFC 9112 has it") {
  return {400, make_error(status_code::invalid_argument, std::move(cause), std::move(remedy)), {}, false};
}

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

/// What a client sent, as it may stand in logs and answers.
std::string quoted(boost::beast::string_view text) {
  auto shown = shortened(view(text.substr(0, longest_quoted + 1)), longest_quoted);
  std::replace_if(
      shown.begin(), shown.end(), [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  return "'" + shown + "'";
}

bool is_id(std::string_view text) {
  constexpr std::string_view others = "-_.:/+=@";
  return !text.empty() && text.size() <= longest_id && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           others.find(c) != std::string_view::npos;
  });
}

/// Where a body ends must not be a matter of opinion: what this server and one before it read differently would let a
/// client hide a request in another one's body.
std::optional<http_refusal> check_framing(const http::request_header<>& head, bool chunked) {
  const auto coding = head.find(http::field::transfer_encoding);
  if (coding == head.end())
    return std::nullopt;
  if (head.version() < 11)
    return malformed("HTTP/1.0 has no Transfer-Encoding");
  if (!chunked || !boost::beast::iequals(coding->value(), "chunked")) {
    auto refusal = malformed("the transfer coding " + quoted(coding->value()) + " is not known",
                             "send the body as it is, or chunked");
    refusal.status = 501;
    refusal.why.code = status_code::unimplemented;
    return refusal;
  }
  return std::nullopt;
}

std::optional<http_refusal> check_expectation(const http::request_header<>& head) {
  const auto expected = head.find(http::field::expect);
  if (expected == head.end() || boost::beast::iequals(expected->value(), "100-continue"))
    return std::nullopt;
  return http_refusal{417,
                      make_error(status_code::failed_precondition, quoted(expected->value()) + " can't be expected",
                                 "expect 100-continue, or nothing"),
                      {},
                      false};
}

}  // namespace

std::optional<request_target> parse_target(std::string_view target) {
  if (target == "*")
    return request_target{target, {}};
  for (const std::string_view scheme : {"http://", "https://"})
    if (target.size() >= scheme.size() && boost::beast::iequals(target.substr(0, scheme.size()), scheme)) {
      target.remove_prefix(scheme.size());
      const auto authority = target.find_first_of("/?");
      if (authority == 0 || target.empty())
        return std::nullopt;
      target.remove_prefix(std::min(authority, target.size()));
      if (target.empty())
        return request_target{"/", {}};
      break;
    }
  if (!target.starts_with('/') || target.find('#') != std::string_view::npos)
    return std::nullopt;
  const auto query = target.find('?');
  if (query == std::string_view::npos)
    return request_target{target, {}};
  return request_target{target.substr(0, query), target.substr(query + 1)};
}

std::string request_id(std::string_view asked_for) {
  if (is_id(asked_for))
    return std::string{asked_for};
  thread_local std::mt19937_64 random = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64{seed};
  }();
  return fmt::format("req_{:016x}{:016x}", random(), random());
}

std::optional<http_refusal> read_head(const http::request_header<>& head, bool chunked, http_request& to) {
  to.method = std::string{view(head.method_string())};
  to.id = request_id(view(head["x-request-id"]));
  const auto target = parse_target(view(head.target()));
  if (!target)
    return malformed(quoted(head.target()) + " is no target", "ask for a path that begins with a slash");
  auto path = percent_decode(target->path);
  if (!path || !utf8::is_valid(*path))
    return malformed(quoted(head.target()) + " is no percent-encoded UTF-8",
                     "encode each byte of it as % and two hexadecimal digits");
  to.path = *std::move(path);
  to.query = std::string{target->query};
  if (const auto hosts = head.count(http::field::host); hosts > 1 || (hosts == 0 && head.version() >= 11))
    return malformed("a request has one Host, and this one has " + std::to_string(hosts));
  if (auto wrong = check_framing(head, chunked))
    return wrong;
  return check_expectation(head);
}

http_refusal refuse_unreadable(http::error why, bool has_line) {
  const auto refusal = [](int status, status_code code, std::string cause, std::string remedy) {
    return http_refusal{status, make_error(code, std::move(cause), std::move(remedy)), {}, false};
  };
  switch (why) {
    case http::error::header_limit:
    case http::error::buffer_overflow:
      return has_line ? refusal(431, status_code::resource_exhausted, "the fields of the request are too large",
                                "send fewer or shorter ones")
                      : refusal(414, status_code::resource_exhausted, "the target of the request is too long",
                                "send what is long in the body");
    case http::error::body_limit:
      return refusal(413, status_code::resource_exhausted, "the body of the request is too large",
                     "send a smaller one");
    case http::error::bad_version:
      return refusal(505, status_code::unimplemented, "only HTTP/1.1 and HTTP/1.0 are spoken here",
                     "use a client that speaks one of them");
    default:
      return malformed("the request can't be read: " + http::make_error_code(why).message());
  }
}

std::string_view http_date() {
  thread_local std::time_t made = 0;
  thread_local std::array<char, 32> text{};
  thread_local std::size_t length = 0;
  const auto now = std::time(nullptr);
  if (now != made) {
    static constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm utc{};
    gmtime_r(&now, &utc);
    length = fmt::format_to_n(text.data(), text.size(), "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
                              days.at(static_cast<std::size_t>(utc.tm_wday)), utc.tm_mday,
                              months.at(static_cast<std::size_t>(utc.tm_mon)), utc.tm_year + 1900, utc.tm_hour,
                              utc.tm_min, utc.tm_sec)
                 .size;
    made = now;
  }
  return {text.data(), length};
}

}  // namespace troupe
