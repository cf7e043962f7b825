#pragma once

#include "actors/concurrency/virtual_clock.hpp"
#include "actors/execution/executor_pool.hpp"
#include "actors/gateway/http/openai/openai_api.hpp"
#include "actors/gateway/http/openai/testing.hpp"
#include "actors/serving/instance_runner.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/testing.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <semaphore>
#include <span>
#include <string>
#include <vector>

/// What the tests of the endpoints share: exchanges without a server, and models whose work is a function of the test.
namespace troupe::openai::testing_support {

using namespace troupe::testing_support;
using boost::asio::awaitable;

/// An exchange that remembers its answer.
class recorded_exchange final : public http_exchange {
 public:
  recorded_exchange(const std::string& method, const std::string& path, const std::string& body, clock& by)
      : scope(scope_options{.clock = &by}) {
    asked.method = method;
    asked.path = path;
    asked.body = body;
    asked.id = "the-request";
  }

  const http_request& request() const noexcept override { return asked; }
  cancel_token token() const noexcept override { return scope.token(); }

  awaitable<expected<void>> respond(http_response what) override {
    ++answers;
    if (token().cancelled())
      co_return token().reason();
    answer = std::move(what);
    co_return expected<void>{};
  }

  awaitable<expected<void>> begin(int status, http_fields fields) override {
    ++answers;
    answer.status = status;
    answer.fields = std::move(fields);
    co_return expected<void>{};
  }

  awaitable<expected<void>> write(std::string_view bytes) override {
    answer.body += bytes;
    ++writes;
    if (on_write)
      co_await on_write();
    if (token().cancelled())
      co_return token().reason();
    co_return expected<void>{};
  }

  awaitable<expected<void>> end() override {
    ended = true;
    co_return expected<void>{};
  }

  json body() const { return json::parse(answer.body); }
  std::string field(const char* name) const { return std::string{answer.fields[name]}; }

  /// `status code param`, of an answer that says an error.
  std::string failure() const {
    const auto why = body()["error"];
    const auto text = [&](const char* name) { return why[name].is_null() ? "-" : why[name].get<std::string>(); };
    return std::to_string(answer.status) + " " + text("code") + " " + text("param");
  }

  http_request asked;
  cancel_scope scope;
  http_response answer;
  int answers = 0;
  int writes = 0;
  bool ended = false;
  std::function<awaitable<void>()> on_write;
};

struct api_test : testing::Test {
  using text_work = std::function<void(work_item&)>;

  ~api_test() override {
    for (const auto& runner : runners) {
      std::binary_semaphore stopped{0};
      runner->stop(make_error(status_code::unavailable, "the test has ended"), [&] { stopped.release(); });
      stopped.acquire();
    }
  }

  static signature text_signature() {
    return {{{"text_input", datatype::bytes, {1}}}, {{"text_output", datatype::bytes, {1}}}, false, true};
  }

  static signature embedding_signature() {
    return {{{"text", datatype::bytes, {-1}}}, {{"embedding", datatype::fp32, {-1, 4}}}, true};
  }

  std::shared_ptr<served_model> add_model(const std::string& name, signature what, std::unique_ptr<instance> worker,
                                          std::int64_t items = 1024, std::size_t queue = 256) {
    model_folder folder;
    folder.name = name;
    folder.limits.items = items;
    folder.queue.capacity = queue;
    auto model = std::make_shared<served_model>(std::move(folder), [this] { routes->notify(); });
    routes->insert(model);
    make_ready(*model, std::move(what));
    runners.push_back(instance_runner::make(std::move(worker), model, pool));
    runners.back()->start();
    return model;
  }

  /// A model that does with each request what the test says.
  std::shared_ptr<served_model> add_text_model(text_work work, std::size_t queue = 256) {
    return add_model("m", text_signature(),
                     std::make_unique<scripted_batch_instance>([work](std::span<work_item* const> batch, const auto&) {
                       for (auto* item : batch)
                         work(*item);
                       return expected<void>{};
                     }),
                     1024, queue);
  }

  /// Has the handler answer, and is back when it is done.
  void run(recorded_exchange& exchange) {
    auto found = table.find(exchange.asked.method, exchange.asked.path);
    ASSERT_TRUE(found.handler);
    exchange.asked.captures = std::move(found.captures);
    boost::asio::io_context context;
    std::exception_ptr thrown;
    boost::asio::co_spawn(context, (*found.handler)(exchange), [&](std::exception_ptr why) { thrown = why; });
    context.run();
    if (thrown)
      std::rethrow_exception(thrown);
    EXPECT_EQ(exchange.answers, 1) << "an exchange is answered exactly once";
  }

  std::unique_ptr<recorded_exchange> make(const std::string& path, const json& body) {
    return std::make_unique<recorded_exchange>("POST", path, body.dump(), clock);
  }

  std::unique_ptr<recorded_exchange> post(const std::string& path, const json& body) {
    auto exchange = make(path, body);
    run(*exchange);
    return exchange;
  }

  std::unique_ptr<recorded_exchange> chat(std::initializer_list<std::pair<const char*, json>> members = {}) {
    return post("/v1/chat/completions", chat_body(members));
  }

  static json chat_body(std::initializer_list<std::pair<const char*, json>> members = {}) {
    return with(R"({"model":"m","messages":[{"role":"user","content":"hi"}]})", members);
  }

  std::unique_ptr<recorded_exchange> get(const std::string& path) {
    auto exchange = std::make_unique<recorded_exchange>("GET", path, "", clock);
    run(*exchange);
    return exchange;
  }

  /// Lets the patience of a stream be over.
  void pass_keep_alive() {
    await([&] { return clock.armed() > 0; });
    clock.advance(openai_settings{}.keep_alive);
  }

  virtual_clock clock;
  std::shared_ptr<router> routes = std::make_shared<router>();
  std::shared_ptr<executor_pool> pool = std::make_shared<executor_pool>("CPU", pool_capacity{2});
  std::vector<std::shared_ptr<instance_runner>> runners;
  route_table table = [this] {
    route_table all;
    add_openai_api(all, routes);
    return all;
  }();
};

}  // namespace troupe::openai::testing_support
