#pragma once

#include "actors/gateway/http/route_table.hpp"

#include <chrono>
#include <memory>

namespace troupe {

class router;

/// How the OpenAI API answers.
struct openai_settings {
  std::chrono::milliseconds keep_alive =
      std::chrono::seconds{5};  ///< after which a stream that has nothing to say says so
};

/// Adds OpenAI's API (https://platform.openai.com/docs/api-reference), as docs/openai-api.md says, on the models of
/// `models`: everything under `/v1`, and how errors there are told. Its handlers are as thread-safe as the exchanges
/// that they get.
void add_openai_api(route_table& routes, std::shared_ptr<const router> models, openai_settings settings = {});

}  // namespace troupe
