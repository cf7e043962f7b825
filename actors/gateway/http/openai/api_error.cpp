#include "actors/gateway/http/openai/api_error.hpp"

namespace troupe::openai {
namespace {

constexpr std::string_view parameter_prefix = "parameter '";

/// `NAME` of an error that begins with `parameter 'NAME' `.
std::string parameter_of(const error& why) {
  const std::string_view cause = why.cause;
  if (!cause.starts_with(parameter_prefix))
    return {};
  const auto end = cause.find("' ", parameter_prefix.size());
  if (end == cause.npos)
    return {};
  return std::string{cause.substr(parameter_prefix.size(), end - parameter_prefix.size())};
}

std::string type_of(int status) {
  switch (status) {
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string code_of(int status, const error& why, bool of_parameter) {
  switch (why.code) {
    case status_code::invalid_argument:
      return of_parameter ? "invalid_value" : "";
    case status_code::unimplemented:
      return of_parameter ? "unsupported_parameter" : "";
    case status_code::out_of_range:
      return "context_length_exceeded";
    case status_code::not_found:
      return of_parameter ? "model_not_found" : "";
    case status_code::unauthenticated:
      return "invalid_api_key";
    case status_code::resource_exhausted:
      return status == 429 ? "rate_limit_exceeded" : "";
    case status_code::deadline_exceeded:
      return "timeout";
    default:
      return "";
  }
}

json text_or_null(const std::string& text) {
  return text.empty() ? json(nullptr) : json(text);
}

}  // namespace

json api_error::body() const {
  return {
      {"error", {{"message", message}, {"type", type}, {"param", text_or_null(param)}, {"code", text_or_null(code)}}}};
}

std::vector<std::pair<std::string, std::string>> api_error::headers() const {
  if (retry_after.count() == 0)
    return {};
  return {{"Retry-After", std::to_string(std::chrono::ceil<std::chrono::seconds>(retry_after).count())},
          {"retry-after-ms", std::to_string(retry_after.count())}};
}

int http_status(const error& why) noexcept {
  switch (why.code) {
    case status_code::ok:
      return 200;
    case status_code::cancelled:
      return 499;
    case status_code::invalid_argument:
    case status_code::out_of_range:
      return 400;
    case status_code::unimplemented:
      return why.cause.starts_with(parameter_prefix) ? 400 : 501;
    case status_code::unauthenticated:
      return 401;
    case status_code::permission_denied:
      return 403;
    case status_code::not_found:
      return 404;
    case status_code::deadline_exceeded:
      return 408;
    case status_code::already_exists:
    case status_code::aborted:
      return 409;
    case status_code::failed_precondition:
      return 422;
    case status_code::resource_exhausted:
      return 429;
    case status_code::unavailable:
      return 503;
    case status_code::unknown:
    case status_code::internal:
    case status_code::data_loss:
      break;
  }
  return 500;
}

api_error to_api_error(const error& why, const field_names& names) {
  return to_api_error(http_status(why), why, names);
}

api_error to_api_error(int status, const error& why, const field_names& names) {
  auto param = parameter_of(why);
  auto message = why.message();
  if (const auto known = names.find(param); known != names.end()) {
    message.replace(parameter_prefix.size(), param.size(), known->second);
    param = known->second;
  }
  api_error result{status,         std::move(message), type_of(status), {}, code_of(status, why, !param.empty()),
                   why.retry_after};
  if (why.code == status_code::out_of_range)
    if (const auto prompt = names.find("text_input"); prompt != names.end() && param.empty())
      param = prompt->second;
  result.param = std::move(param);
  if (why.code == status_code::unavailable && result.retry_after.count() == 0)
    result.retry_after = std::chrono::seconds{1};
  return result;
}

}  // namespace troupe::openai
