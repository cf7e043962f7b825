#include "actors/gateway/http/route_table.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <set>
#include <stdexcept>
#include <tuple>

namespace troupe {
namespace {

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  for (std::size_t begin = 1; begin <= path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    segments.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return segments;
}

std::vector<std::string> split_and_decode(std::string_view path) {
  std::vector<std::string> segments;
  for (const auto segment : split(path)) {
    auto decoded = percent_decode(segment);
    segments.push_back(decoded ? *std::move(decoded) : std::string{segment});
  }
  return segments;
}

}  // namespace

std::vector<route_table::segment> route_table::parse(std::string_view pattern) {
  const auto wrong = [&] { return std::invalid_argument{"'" + std::string{pattern} + "' is no pattern of a route"}; };
  if (!pattern.starts_with('/'))
    throw wrong();
  std::vector<segment> segments;
  for (const auto text : split(pattern)) {
    const bool captures = text.size() > 2 && text.front() == '{' && text.back() == '}';
    const auto inside = captures ? text.substr(1, text.size() - 2) : text;
    if (inside.find_first_of("{}") != std::string_view::npos)
      throw wrong();
    segments.push_back({std::string{inside}, captures});
  }
  return segments;
}

void route_table::add(std::string_view method, std::string_view pattern, http_handler handler) {
  auto segments = parse(pattern);
  // By what is spelled out first; routes that differ in the names of their captures alone are different ones.
  const auto before = [](const route& a, const std::vector<segment>& b) {
    return std::lexicographical_compare(
        a.segments.begin(), a.segments.end(), b.begin(), b.end(),
        [](const segment& x, const segment& y) { return std::tie(x.captures, x.text) < std::tie(y.captures, y.text); });
  };
  auto at = std::lower_bound(routes_.begin(), routes_.end(), segments, before);
  if (at == routes_.end() || at->segments != segments)
    at = routes_.insert(at, {std::move(segments), {}});
  if (!at->handlers.emplace(method, std::move(handler)).second)
    throw std::invalid_argument{"there is a route " + std::string{method} + " " + std::string{pattern} + " already"};
}

void route_table::describe_errors(std::string prefix, http_error_form form) {
  const auto at = std::find_if(forms_.begin(), forms_.end(),
                               [&](const auto& other) { return other.first.size() <= prefix.size(); });
  forms_.emplace(at, std::move(prefix), std::move(form));
}

bool route_table::route::fits(const std::vector<std::string>& path) const {
  return std::equal(segments.begin(), segments.end(), path.begin(), path.end(),
                    [](const segment& pattern, const std::string& text) {
                      return pattern.captures ? !text.empty() : pattern.text == text;
                    });
}

found_route route_table::find(std::string_view method, std::string_view path) const {
  const auto segments = split_and_decode(path);
  for (const auto& candidate : routes_) {
    if (!candidate.fits(segments))
      continue;
    auto handler = candidate.handlers.find(method);
    if (handler == candidate.handlers.end() && method == "HEAD")
      handler = candidate.handlers.find(std::string_view{"GET"});
    if (handler == candidate.handlers.end())
      continue;
    found_route found{&handler->second, {}};
    for (std::size_t i = 0; i != segments.size(); ++i)
      if (candidate.segments[i].captures)
        found.captures.emplace(candidate.segments[i].text, segments[i]);
    return found;
  }
  return {};
}

std::string route_table::allowed(std::string_view path) const {
  const auto segments = split_and_decode(path);
  std::set<std::string_view> methods;
  for (const auto& candidate : routes_)
    if (candidate.fits(segments))
      for (const auto& [method, handler] : candidate.handlers)
        methods.insert(method);
  if (methods.empty())
    return {};
  if (methods.contains("GET"))
    methods.insert("HEAD");
  methods.insert("OPTIONS");
  std::string list;
  for (const auto method : methods)
    list.append(list.empty() ? "" : ", ").append(method);
  return list;
}

http_response route_table::describe_error(int status, const error& why, const http_request& asked) const {
  for (const auto& [prefix, form] : forms_)
    if (asked.path.starts_with(prefix))
      return form(status, why, asked);
  http_response answer;
  answer.status = status;
  answer.fields.set(boost::beast::http::field::content_type, "application/json");
  const nlohmann::json body{{"error", to_string(why)}};
  answer.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return answer;
}

expected<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i != text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned char byte = 0;
    const auto* digits = text.data() + i + 1;
    const auto parsed = text.size() - i > 2 ? std::from_chars(digits, digits + 2, byte, 16) : std::from_chars_result{};
    if (parsed.ptr != digits + 2 || byte == 0)
      return make_error(status_code::invalid_argument, "a % begins no byte",
                        "encode each byte as % and two hexadecimal digits");
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

}  // namespace troupe
