#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/gateway/http/openai/json_document.hpp"

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::openai {

/// By which name a client of the API knows an inference request's parameter, where it isn't the same.
using field_names = std::map<std::string, std::string, std::less<>>;

/// An error as OpenAI's API tells it (https://platform.openai.com/docs/guides/error-codes).
struct api_error {
  int status;           ///< HTTP's
  std::string message;  ///< cause and remedy
  std::string type;     ///< such as `invalid_request_error`
  std::string param;    ///< the field of the request that is wrong, such as `messages[2].content`; may be empty
  std::string code;     ///< such as `model_not_found`; may be empty
  std::chrono::milliseconds retry_after = {};  ///< 0: not said

  /// `{"error":{"message","type","param","code"}}`.
  json body() const;

  /// `Retry-After`, in seconds rounded up, and `retry-after-ms`, which OpenAI's clients look at first. None where it
  /// isn't said.
  std::vector<std::pair<std::string, std::string>> headers() const;
};

/// HTTP's status for an error: that of gRPC's code in https://cloud.google.com/apis/design/errors, but for 408 where
/// time was up and 422 for a failed precondition, and for UNIMPLEMENTED parameters, which are the client's mistake:
/// 400.
int http_status(const error& why) noexcept;

/// An error that begins with `parameter 'NAME'` has that as its `param`, by the name that `names` has for it. One that
/// is UNAVAILABLE can be tried again in a second where it doesn't say when.
api_error to_api_error(const error& why, const field_names& names = {});

/// The same for an error that has its status already, as those of the HTTP server have.
api_error to_api_error(int status, const error& why, const field_names& names = {});

}  // namespace troupe::openai
