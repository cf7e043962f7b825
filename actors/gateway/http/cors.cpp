#include "actors/gateway/http/cors.hpp"

#include <algorithm>

namespace troupe {
namespace {

using boost::beast::http::field;

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

bool cors_policy::allows(std::string_view origin) const {
  return std::any_of(origins_.begin(), origins_.end(),
                     [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

void cors_policy::allow(const http_request& asked, http_fields& answer) const {
  if (origins_.empty())
    return;
  // A cache must not give one origin what was said to another.
  answer.set(field::vary, "Origin");
  const auto origin = asked.fields[field::origin];
  if (origin.empty() || !allows(view(origin)))
    return;
  answer.set(field::access_control_allow_origin, origin);
  answer.set(field::access_control_expose_headers, "x-request-id, retry-after");
}

bool cors_policy::is_preflight(const http_request& asked) {
  return asked.method == "OPTIONS" && asked.fields.find(field::access_control_request_method) != asked.fields.end();
}

void cors_policy::allow_preflight(const http_request& asked, std::string_view methods, http_fields& answer) const {
  if (!allows(view(asked.fields[field::origin])))
    return;
  answer.set(field::access_control_allow_methods, boost::beast::string_view{methods.data(), methods.size()});
  if (const auto wanted = asked.fields[field::access_control_request_headers]; !wanted.empty())
    answer.set(field::access_control_allow_headers, wanted);
  answer.set(field::access_control_max_age, "600");
}

}  // namespace troupe
