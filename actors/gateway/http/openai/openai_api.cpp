#include "actors/gateway/http/openai/openai_api.hpp"

#include "actors/gateway/http/openai/chat_format.hpp"
#include "actors/gateway/http/openai/chat_request.hpp"
#include "actors/gateway/http/openai/completion_format.hpp"
#include "actors/gateway/http/openai/completion_request.hpp"
#include "actors/gateway/http/openai/embedding_answer.hpp"
#include "actors/gateway/http/openai/model_access.hpp"
#include "actors/gateway/http/openai/response_format.hpp"
#include "actors/gateway/http/openai/response_request.hpp"
#include "actors/gateway/http/openai/text_exchange.hpp"
#include "actors/gateway/request_log.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

namespace troupe {
namespace openai {
namespace {

using boost::asio::awaitable;

http_response json_response(int status, std::string body) {
  http_response answer;
  answer.status = status;
  answer.fields.set(boost::beast::http::field::content_type, "application/json");
  answer.body = std::move(body);
  return answer;
}

http_response error_response(const api_error& why) {
  auto answer = json_response(why.status, write_document(why.body()));
  for (const auto& [name, value] : why.headers())
    answer.fields.set(name, value);
  return answer;
}

answer_head make_head(const char* prefix, const std::string& model, const served_model& serving) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {make_id(prefix), std::chrono::duration_cast<std::chrono::seconds>(now).count(), model,
          std::string{"troupe-" TROUPE_VERSION "-"} + serving.version()};
}

/// The body of a request, as `read` reads it.
template <class Request>
expected<Request> read_body(const http_exchange& exchange, expected<Request> (*read)(const json&)) {
  const auto document = read_document(exchange.request().body);
  if (!document)
    return document.error();
  return read(*document);
}

/// How one endpoint for text differs from the others.
template <class Request>
struct text_endpoint {
  expected<Request> (*read)(const json&);
  const char* id_prefix;
  std::unique_ptr<text_format> (*format)(const Request& request, answer_head head);
};

bool wants_logprobs(const text_request& request) {
  return request.parameters.contains("logprobs");
}

constexpr text_endpoint<text_request> chats{
    read_chat_request, "chatcmpl-", [](const text_request& request, answer_head head) -> std::unique_ptr<text_format> {
      return std::make_unique<chat_format>(std::move(head), request.size(), wants_logprobs(request),
                                           request.include_usage);
    }};

constexpr text_endpoint<text_request> completions{
    read_completion_request, "cmpl-",
    [](const text_request& request, answer_head head) -> std::unique_ptr<text_format> {
      return std::make_unique<completion_format>(std::move(head), request.prompts.size(),
                                                 static_cast<std::size_t>(request.choices), wants_logprobs(request),
                                                 request.include_usage);
    }};

constexpr text_endpoint<response_request> responses{
    read_response_request, "resp_",
    [](const response_request& request, answer_head head) -> std::unique_ptr<text_format> {
      return std::make_unique<response_format>(std::move(head), request.repeated, request.logprobs);
    }};

/// What the handlers share.
class endpoints {
 public:
  endpoints(std::shared_ptr<const router> models, openai_settings settings)
      : models_(std::move(models)), settings_(settings) {}

  awaitable<void> list(http_exchange& exchange) const {
    auto listed = json_response(200, write_document(list_models(*models_)));
    co_await answer(exchange, std::move(listed));
  }

  awaitable<void> describe(http_exchange& exchange) const {
    const auto model = describe_model(*models_, exchange.request().captures.at("id"));
    auto described = model ? json_response(200, write_document(*model)) : error_response(to_api_error(model.error()));
    co_await answer(exchange, std::move(described));
  }

  template <class Request>
  awaitable<void> write(http_exchange& exchange, const text_endpoint<Request>& endpoint) const {
    const auto began = steady_clock::now();
    const auto request = read_body(exchange, endpoint.read);
    if (!request)
      co_return co_await refuse(exchange, nobody, began, request.error(), as_they_are);
    auto model = enter_model(*models_, request->model, model_task::text_generation);
    if (!model)
      co_return co_await refuse(exchange, request->model, began, model.error(), request->names);
    const auto format = endpoint.format(*request, make_head(endpoint.id_prefix, request->model, **model));
    inference_calls calls{*std::move(model), origin_of(exchange, began), exchange.token(), request->size()};
    text_exchange writing{exchange, *request, *format, calls, settings_.keep_alive};
    const auto done = co_await writing.run();
    if (done)
      co_return;
    auto failed = error_response(to_api_error(done.error(), request->names));
    co_await answer(exchange, std::move(failed));
  }

  awaitable<void> embed(http_exchange& exchange) const {
    const auto began = steady_clock::now();
    const auto request = read_body(exchange, read_embedding_request);
    if (!request)
      co_return co_await refuse(exchange, nobody, began, request.error(), as_they_are);
    auto model = enter_model(*models_, request->model, model_task::text_embedding);
    if (!model)
      co_return co_await refuse(exchange, request->model, began, model.error(), request->names);
    auto body = co_await embeddings(exchange, *request, *std::move(model), began);
    auto embedded =
        body ? json_response(200, *std::move(body)) : error_response(to_api_error(body.error(), request->names));
    co_await answer(exchange, std::move(embedded));
  }

 private:
  // Of a request that could not be read.
  static inline const std::string nobody;
  static inline const field_names as_they_are;

  static call_origin origin_of(const http_exchange& exchange, steady_clock::time_point began) {
    return {exchange.request().id, exchange.request().client, began};
  }

  /// Whoever can't be answered any more needs no other answer.
  static awaitable<void> answer(http_exchange& exchange, http_response what) {
    static_cast<void>(co_await exchange.respond(std::move(what)));
  }

  /// Answers what has not become an inference request.
  static awaitable<void> refuse(http_exchange& exchange, const std::string& model, steady_clock::time_point began,
                                const error& why, const field_names& names) {
    log_request(exchange.request().id, model, began, &why);
    auto refusal = error_response(to_api_error(why, names));
    co_await answer(exchange, std::move(refusal));
  }

  /// The body of an answer. More texts than the model takes at once are several inference requests.
  static awaitable<expected<std::string>> embeddings(http_exchange& exchange, const embedding_request& request,
                                                     served_model::visit model, steady_clock::time_point began) {
    const auto size = request.texts.size();
    const auto each = static_cast<std::size_t>(model->folder().limits.items);
    const auto count = (size + each - 1) / each;
    inference_calls calls{std::move(model), origin_of(exchange, began), exchange.token(), count};
    for (std::size_t i = 0; i != count; ++i)
      if (auto submitted = calls.submit(request.inference(i * each, std::min(each, size - i * each))); !submitted)
        co_return submitted.error();
    embedding_answer answered{request};
    steady_clock::duration writing{};
    for (auto left = count; left > 0;) {
      const auto received = co_await calls.receive();
      if (!received)
        co_return received.error();
      const auto start = steady_clock::now();
      for (const auto& [call, response, last] : *received) {
        if (!response)
          co_return response.error();
        if (auto added = answered.add(call * each, *response); !added)
          co_return added.error();
        left -= last ? 1 : 0;
      }
      writing += steady_clock::now() - start;
    }
    calls.count_output(writing);
    co_return answered.body();
  }

  const std::shared_ptr<const router> models_;
  const openai_settings settings_;
};

}  // namespace
}  // namespace openai

void add_openai_api(route_table& routes, std::shared_ptr<const router> models, openai_settings settings) {
  using namespace openai;
  const auto all = std::make_shared<const endpoints>(std::move(models), settings);
  routes.add("GET", "/v1/models", [all](http_exchange& exchange) { return all->list(exchange); });
  routes.add("GET", "/v1/models/{id}", [all](http_exchange& exchange) { return all->describe(exchange); });
  routes.add("POST", "/v1/chat/completions", [all](http_exchange& exchange) { return all->write(exchange, chats); });
  routes.add("POST", "/v1/completions", [all](http_exchange& exchange) { return all->write(exchange, completions); });
  routes.add("POST", "/v1/responses", [all](http_exchange& exchange) { return all->write(exchange, responses); });
  routes.add("POST", "/v1/embeddings", [all](http_exchange& exchange) { return all->embed(exchange); });
  routes.describe_errors("/v1", [](int status, const error& why, const http_request&) {
    return error_response(to_api_error(status, why));
  });
}

}  // namespace troupe
