#include "actors/gateway/http/openai/openai_api.hpp"

#include "actors/concurrency/async.hpp"
#include "actors/concurrency/event.hpp"
#include "actors/gateway/http/openai/api_test.hpp"

#include <atomic>
#include <cstring>
#include <thread>

namespace troupe::openai {
namespace {

using namespace testing_support;

struct openai_api : api_test {};

void say_hello(work_item& item) {
  const auto stream = std::get<bool>(item.request().parameters.at("stream"));
  if (stream)
    item.send(text_response("Hel"));
  item.respond(last_response(stream ? "lo" : "Hello"));
}

/// Vectors of 4 numbers: the length of the text, its number in the request, 3 and 4.
expected<inference_response> embed(const inference_request& request, std::int64_t cut = 0) {
  const auto count = request.inputs.front().shape.front();
  const auto texts = split_bytes(request.inputs.front().data.view(), count);
  std::vector<float> values;
  for (std::size_t i = 0; i != texts->size(); ++i)
    for (const auto value : {static_cast<float>((*texts)[i].size()), static_cast<float>(i), 3.0f, 4.0f})
      values.push_back(value);
  return inference_response{{tensor{"embedding", datatype::fp32, {count, 4}, buffer::take(std::move(values))}},
                            {{"prompt_tokens", 2 * count}, {"truncated_texts", cut}}};
}

std::unique_ptr<instance> embedder(work how = [](const auto& request, const auto&) { return embed(request); }) {
  return std::make_unique<scripted_instance>(std::move(how));
}

TEST_F(openai_api, lists_the_models_that_it_serves) {
  add_text_model(say_hello);
  add_model("e", embedding_signature(), embedder());
  add_model("other", {{{"x", datatype::fp32, {-1}}}, {{"y", datatype::fp32, {-1}}}}, embedder());
  const auto listed = get("/v1/models")->body();
  EXPECT_EQ(listed["object"], "list");
  ASSERT_EQ(listed["data"].size(), 2u);
  EXPECT_EQ(listed["data"][0]["id"], "e");
  EXPECT_EQ(listed["data"][1]["id"], "m");
  EXPECT_EQ(listed["data"][1]["object"], "model");
  EXPECT_GT(listed["data"][1]["created"], 1'700'000'000);
  EXPECT_EQ(get("/v1/models/m")->body(), listed["data"][1]);
  EXPECT_EQ(get("/v1/models/other")->failure(), "404 model_not_found model");
  EXPECT_EQ(get("/v1/models/none")->failure(), "404 model_not_found model");
}

TEST_F(openai_api, models_are_told_apart_by_what_they_do) {
  add_text_model(say_hello);
  add_model("e", embedding_signature(), embedder());
  EXPECT_EQ(chat({{"model", "none"}})->failure(), "404 model_not_found model");
  EXPECT_EQ(chat({{"model", "e"}})->failure(), "400 invalid_value model");
  EXPECT_EQ(post("/v1/embeddings", {{"model", "m"}, {"input", "x"}})->failure(), "400 invalid_value model");
}

TEST_F(openai_api, a_model_that_is_not_ready_is_to_be_asked_again) {
  model_folder folder;
  folder.name = "loading";
  routes->insert(std::make_shared<served_model>(folder, [] {}));
  for (const auto& refused : {chat({{"model", "loading"}}), get("/v1/models/loading")}) {
    EXPECT_EQ(refused->failure(), "503 - -");
    EXPECT_EQ(refused->field("Retry-After"), "1");
  }
  EXPECT_TRUE(get("/v1/models")->body()["data"].empty());
}

TEST_F(openai_api, chats) {
  add_text_model(say_hello);
  const auto answered = chat();
  EXPECT_EQ(answered->answer.status, 200);
  EXPECT_EQ(answered->field("Content-Type"), "application/json");
  auto body = answered->body();
  EXPECT_TRUE(body["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "Hello");
  EXPECT_EQ(body["usage"]["total_tokens"], 5);
}

TEST_F(openai_api, streams_chats) {
  add_text_model(say_hello);
  const auto answered = chat({{"stream", true}});
  EXPECT_EQ(answered->answer.status, 200);
  EXPECT_EQ(answered->field("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_TRUE(answered->ended);
  const auto events = events_of(answered->answer.body);
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(events[1]["choices"][0]["delta"]["content"], "Hel");
  EXPECT_EQ(events[2]["choices"][0]["delta"]["content"], "lo");
  EXPECT_EQ(events[3]["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(events[4], "[DONE]");
}

TEST_F(openai_api, counts_and_completes_requests) {
  const auto model = add_text_model(say_hello);
  chat();
  chat({{"stream", true}, {"n", 2}});
  await([&] { return model->counts().read().success.count == 3; });
  const auto counts = model->counts().read();
  EXPECT_EQ(counts.input.count, 3u);
  EXPECT_EQ(counts.output.count, 3u);
}

TEST_F(openai_api, completes_every_prompt) {
  add_text_model([](work_item& item) { item.respond(last_response(text_of(item.request()) + "!", "length")); });
  const auto body = post("/v1/completions", {{"model", "m"}, {"prompt", {"a", "b"}}, {"n", 2}})->body();
  ASSERT_EQ(body["choices"].size(), 4u);
  EXPECT_EQ(body["choices"][1]["text"], "a!");
  EXPECT_EQ(body["choices"][2]["text"], "b!");
  EXPECT_EQ(body["choices"][3]["index"], 3);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 6);
  EXPECT_EQ(body["usage"]["completion_tokens"], 8);
}

TEST_F(openai_api, responds) {
  add_text_model(say_hello);
  const auto body = post("/v1/responses", {{"model", "m"}, {"input", "hi"}})->body();
  EXPECT_EQ(body["object"], "response");
  EXPECT_EQ(body["status"], "completed");
  EXPECT_EQ(body["output"][0]["content"][0]["text"], "Hello");
  const auto events =
      events_of(post("/v1/responses", {{"model", "m"}, {"input", "hi"}, {"stream", true}})->answer.body);
  EXPECT_EQ(events.front()["type"], "response.created");
  EXPECT_EQ(events.back()["type"], "response.completed");
  EXPECT_EQ(events.back()["response"]["output"][0]["content"][0]["text"], "Hello");
}

TEST_F(openai_api, bad_bodies_are_told_and_not_counted) {
  const auto model = add_text_model(say_hello);
  for (const auto* path : {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"}) {
    for (const auto* body : {"", "{", "[]", "{\"model\":\"\xff\"}"}) {
      recorded_exchange exchange{"POST", path, body, clock};
      run(exchange);
      EXPECT_EQ(exchange.failure(), "400 - -") << path << body;
    }
    EXPECT_EQ(post(path, json::object())->failure(), "400 invalid_value model");
    EXPECT_EQ(post(path, {{"model", "m"}, {"x", 1}})->failure(), "400 unsupported_parameter x");
  }
  EXPECT_EQ(model->counts().read().fail.count, 0u);
}

TEST_F(openai_api, large_prompts_reach_the_model) {
  add_text_model([](work_item& item) {
    item.respond(make_error(status_code::out_of_range,
                            "the prompt has " + std::to_string(text_of(item.request()).size()) + " bytes"));
  });
  const std::string large(10 << 20, 'x');
  const auto refused = chat({{"messages", json::array({{{"role", "user"}, {"content", large}}})}});
  EXPECT_EQ(refused->failure(), "400 context_length_exceeded messages");
  EXPECT_EQ(post("/v1/completions", {{"model", "m"}, {"prompt", large}})->body()["error"]["message"],
            "the prompt has 10485760 bytes");
}

TEST_F(openai_api, an_error_before_the_first_piece_has_its_status) {
  add_text_model([](work_item& item) {
    auto full = make_error(status_code::resource_exhausted, "no room");
    full.retry_after = std::chrono::milliseconds{2500};
    item.respond(full);
  });
  for (const bool stream : {false, true}) {
    const auto refused = chat({{"stream", stream}});
    EXPECT_EQ(refused->failure(), "429 rate_limit_exceeded -");
    EXPECT_EQ(refused->field("Retry-After"), "3");
    EXPECT_EQ(refused->field("retry-after-ms"), "2500");
  }
}

TEST_F(openai_api, an_error_of_the_skillset_names_the_field) {
  add_text_model([](work_item& item) {
    item.respond(make_error(status_code::invalid_argument, "parameter 'json_schema' has a pattern"));
  });
  const json format{{"type", "json_schema"}, {"json_schema", {{"name", "n"}, {"schema", json::object()}}}};
  EXPECT_EQ(chat({{"response_format", format}})->failure(), "400 invalid_value response_format.json_schema.schema");
}

TEST_F(openai_api, an_error_after_the_first_piece_ends_the_stream) {
  std::binary_semaphore begun{0};
  add_text_model([&](work_item& item) {
    item.send(text_response("Hel"));
    begun.acquire();
    item.respond(make_error(status_code::unavailable, "the host died"));
  });
  const auto exchange = make("/v1/chat/completions", chat_body({{"stream", true}}));
  exchange->on_write = [&]() -> awaitable<void> {
    if (exchange->writes == 1)
      begun.release();
    co_return;
  };
  run(*exchange);
  EXPECT_EQ(exchange->answer.status, 200);
  const auto events = events_of(exchange->answer.body);
  EXPECT_EQ(events.back()["error"]["message"], "the host died");
  EXPECT_EQ(events.back()["error"]["type"], "server_error");
  EXPECT_TRUE(exchange->ended);
  EXPECT_EQ(exchange->answer.body.find("[DONE]"), std::string::npos);
}

TEST_F(openai_api, a_stream_with_nothing_to_say_says_so) {
  std::binary_semaphore go{0};
  add_text_model([&](work_item& item) {
    go.acquire();
    say_hello(item);
  });
  const auto exchange = make("/v1/chat/completions", chat_body({{"stream", true}}));
  exchange->on_write = [&]() -> awaitable<void> {
    if (exchange->writes == 2)
      go.release();
    co_return;
  };
  std::thread time{[&] {
    pass_keep_alive();
    await([&] { return clock.armed() == 0; });
    pass_keep_alive();
  }};
  run(*exchange);
  time.join();
  EXPECT_TRUE(exchange->answer.body.starts_with(": keep-alive\n\n: keep-alive\n\ndata: ")) << exchange->answer.body;
  EXPECT_EQ(events_of(exchange->answer.body).back(), "[DONE]");
}

TEST_F(openai_api, an_error_after_a_comment_is_an_event) {
  std::binary_semaphore go{0};
  add_text_model([&](work_item& item) {
    go.acquire();
    item.respond(make_error(status_code::out_of_range, "the prompt is too long"));
  });
  const auto exchange = make("/v1/chat/completions", chat_body({{"stream", true}}));
  exchange->on_write = [&]() -> awaitable<void> {
    if (exchange->writes == 1)
      go.release();
    co_return;
  };
  std::thread time{[&] { pass_keep_alive(); }};
  run(*exchange);
  time.join();
  EXPECT_EQ(exchange->answer.status, 200);
  const auto events = events_of(exchange->answer.body);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0]["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(events[0]["error"]["param"], "messages");
}

/// Runs until it is cancelled.
void await_cancellation(work_item& item, std::atomic<int>& running) {
  ++running;
  await([&] { return item.token().cancelled(); });
  item.respond(item.token().reason());
  --running;
}

TEST_F(openai_api, a_client_that_leaves_ends_the_work) {
  std::atomic<int> running = 0;
  const auto model = add_text_model([&](work_item& item) { await_cancellation(item, running); });
  for (const bool stream : {false, true}) {
    const auto exchange = make("/v1/chat/completions", chat_body({{"stream", stream}, {"n", 3}}));
    std::thread client{[&] {
      await([&] { return running == 1 && model->calls().stats().queued == 2; });
      exchange->scope.cancel(make_error(status_code::cancelled, "the client has gone"));
    }};
    run(*exchange);
    client.join();
    await([&] { return running == 0 && model->calls().stats().queued == 0; });
    EXPECT_TRUE(exchange->answer.body.empty());
  }
}

TEST_F(openai_api, a_client_that_leaves_a_stream_ends_the_work) {
  std::atomic<int> running = 0;
  add_text_model([&](work_item& item) {
    item.send(text_response("Hel"));
    await_cancellation(item, running);
  });
  const auto exchange = make("/v1/chat/completions", chat_body({{"stream", true}}));
  exchange->on_write = [&]() -> awaitable<void> {
    exchange->scope.cancel(make_error(status_code::cancelled, "the client has gone"));
    co_return;
  };
  run(*exchange);
  await([&] { return running == 0; });
}

TEST_F(openai_api, a_choice_that_fails_ends_the_others) {
  std::atomic<int> asked = 0;
  std::atomic<int> running = 0;
  const auto model = add_text_model([&](work_item& item) {
    if (asked++ == 0)
      item.respond(make_error(status_code::internal, "it broke"));
    else
      await_cancellation(item, running);
  });
  EXPECT_EQ(chat({{"n", 4}})->failure(), "500 - -");
  await([&] { return running == 0; });
  asked = 0;
  EXPECT_EQ(chat({{"n", 4}, {"stream", true}})->failure(), "500 - -");
  await([&] { return running == 0; });
}

TEST_F(openai_api, a_full_queue_refuses_all_choices) {
  std::atomic<int> running = 0;
  add_text_model([&](work_item& item) { await_cancellation(item, running); }, 2);
  EXPECT_EQ(chat({{"n", 8}})->failure(), "429 rate_limit_exceeded -");
  await([&] { return running == 0; });
}

TEST_F(openai_api, nobody_waits_for_a_client_that_takes_nothing) {
  event cut_off;
  std::binary_semaphore begun{0};
  add_text_model([&](work_item& item) {
    item.send(text_response("x"));
    begun.acquire();
    while (!item.token().cancelled())
      item.send(text_response("x"));
    EXPECT_EQ(item.token().reason().code, status_code::resource_exhausted);
    item.respond(item.token().reason());
    cut_off.set();
  });
  const auto exchange = make("/v1/chat/completions", chat_body({{"stream", true}}));
  exchange->on_write = [&]() -> awaitable<void> {
    begun.release();
    static_cast<void>(co_await async(cut_off.wait(), cancel_token{}, boost::asio::use_awaitable));
  };
  run(*exchange);
  const auto events = events_of(exchange->answer.body);
  EXPECT_EQ(events.back()["error"]["message"],
            "the client has not taken what it was answered; read the stream as it comes");
}

TEST_F(openai_api, a_skillset_that_breaks_its_promise_is_found_out) {
  const std::pair<const char*, api_test::text_work> scripts[] = {
      {"500 - -", [](work_item& item) { item.complete(); }},
      {"500 - -", [](work_item& item) { item.respond(text_response("x")); }},
      {"500 - -", [](work_item& item) { item.respond(inference_response{}); }},
      {"500 - -", [](work_item& item) { item.send(last_response("x")); }},
  };
  for (const auto& [failure, script] : scripts) {
    const auto model = add_text_model(script);
    EXPECT_EQ(chat()->failure(), failure);
    EXPECT_EQ(chat({{"stream", true}})->failure(), failure);
  }
}

TEST_F(openai_api, embeds) {
  add_model("e", embedding_signature(), embedder());
  const auto body = post("/v1/embeddings", {{"model", "e"}, {"input", {"a", "bcd"}}})->body();
  EXPECT_EQ(body, json::parse(R"({"object":"list","data":[
      {"object":"embedding","index":0,"embedding":[1.0,0.0,3.0,4.0]},
      {"object":"embedding","index":1,"embedding":[3.0,1.0,3.0,4.0]}],
      "model":"e","usage":{"prompt_tokens":4,"total_tokens":4}})"));
}

TEST_F(openai_api, embeds_in_base64) {
  add_model("e", embedding_signature(), embedder());
  const auto body = post("/v1/embeddings", {{"model", "e"}, {"input", "a"}, {"encoding_format", "base64"}})->body();
  // 1.0f, 0.0f, 3.0f, 4.0f
  EXPECT_EQ(body["data"][0]["embedding"], "AACAPwAAAAAAAEBAAACAQA==");
}

TEST_F(openai_api, embeds_in_fewer_dimensions) {
  add_model("e", embedding_signature(), embedder());
  const json asked{{"model", "e"}, {"input", {"abc", "abcd"}}, {"dimensions", 2}};
  const auto body = post("/v1/embeddings", asked)->body();
  EXPECT_EQ(body["data"][0]["embedding"], json::parse("[1.0,0.0]"));
  EXPECT_EQ(body["data"][1]["embedding"].size(), 2u);
  EXPECT_NEAR(body["data"][1]["embedding"][1].get<double>(), 1 / std::sqrt(17), 1e-6);
  EXPECT_EQ(post("/v1/embeddings", {{"model", "e"}, {"input", "a"}, {"dimensions", 5}})->failure(),
            "400 invalid_value dimensions");
  EXPECT_EQ(post("/v1/embeddings", {{"model", "e"}, {"input", ""}, {"dimensions", 1}})->failure(),
            "400 invalid_value dimensions")
      << "a vector of zeros has no direction";
}

TEST_F(openai_api, embeds_more_texts_than_the_model_takes_at_once) {
  std::atomic<int> requests = 0;
  add_model("e", embedding_signature(), embedder([&](const auto& request, const auto&) {
              ++requests;
              EXPECT_LE(request.inputs.front().shape.front(), 10);
              return embed(request);
            }),
            10);
  auto texts = json::array();
  for (int i = 0; i != 101; ++i)
    texts.push_back(std::string(static_cast<std::size_t>(i), 'x'));
  const auto body = post("/v1/embeddings", {{"model", "e"}, {"input", texts}})->body();
  ASSERT_EQ(body["data"].size(), 101u);
  for (std::size_t i = 0; i != 101; ++i) {
    EXPECT_EQ(body["data"][i]["index"], i);
    EXPECT_EQ(body["data"][i]["embedding"][0], i);
  }
  EXPECT_EQ(body["usage"]["prompt_tokens"], 202);
  EXPECT_EQ(requests, 11);
}

TEST_F(openai_api, texts_that_are_cut_are_told) {
  add_model("e", embedding_signature(), embedder([](const auto& request, const auto&) { return embed(request, 1); }));
  EXPECT_EQ(post("/v1/embeddings", {{"model", "e"}, {"input", "a"}})->failure(), "400 context_length_exceeded input");
  EXPECT_EQ(post("/v1/embeddings", {{"model", "e"}, {"input", "a"}, {"truncate", true}})->answer.status, 200);
}

TEST_F(openai_api, embeddings_that_are_none_are_found_out) {
  const auto answer = [](std::vector<std::int64_t> shape, std::vector<float> values) {
    return inference_response{{tensor{"embedding", datatype::fp32, std::move(shape), buffer::take(std::move(values))}},
                              {}};
  };
  for (const auto& broken : {inference_response{}, answer({1, 4}, {1, 2, 3}), answer({2, 4}, std::vector<float>(8)),
                             answer({1, 4}, {1, 2, 3, NAN}), answer({4}, {1, 2, 3, 4})}) {
    add_model("e", embedding_signature(), embedder([&](const auto&, const auto&) { return broken; }));
    EXPECT_EQ(post("/v1/embeddings", {{"model", "e"}, {"input", "a"}})->failure(), "500 - -");
  }
}

TEST_F(openai_api, tells_errors_of_the_server_in_its_own_form) {
  http_request asked;
  asked.path = "/v1/chat/completions";
  const auto told =
      table.describe_error(413, make_error(status_code::resource_exhausted, "the body is too large"), asked);
  EXPECT_EQ(told.status, 413);
  EXPECT_EQ(json::parse(told.body)["error"]["type"], "invalid_request_error");
}

}  // namespace
}  // namespace troupe::openai
