#include "actors/gateway/grpc/stream_infer.hpp"

#include "actors/gateway/grpc/gateway_test.hpp"

#include <gmock/gmock.h>

#include <functional>
#include <map>
#include <random>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using testing::HasSubstr;
using testing_support::await;
using testing_support::client_call;
using testing_support::echo;

using response_message = inference::ModelStreamInferResponse;

/// A decoupled instance that does to each item what the test says.
class decoupled_instance final : public instance {
 public:
  using work = std::function<void(work_item&)>;
  explicit decoupled_instance(work what) : what_(std::move(what)) {}

  expected<void> run(std::span<work_item* const> batch, const cancel_token&) override {
    for (auto* item : batch)
      what_(*item);
    return {};
  }

 private:
  work what_;
};

/// A client's end of a stream.
class client_stream {
 public:
  explicit client_stream(inference::GRPCInferenceService::Stub& stub) : stream_(stub.ModelStreamInfer(&context)) {}

  ~client_stream() { context.TryCancel(); }

  bool send(const std::string& id, const std::string& model = "m", bool empty_final = false) {
    client_call call{model};
    call.request.set_id(id);
    if (empty_final)
      (*call.request.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
    return stream_->Write(call.request);
  }

  bool send(const inference::ModelInferRequest& request) { return stream_->Write(request); }

  response_message next() {
    response_message response;
    EXPECT_TRUE(stream_->Read(&response));
    return response;
  }

  void close() { stream_->WritesDone(); }

  /// What is left to read, and how the stream ended.
  grpc::Status end(std::vector<response_message>* rest = nullptr) {
    response_message response;
    while (stream_->Read(&response))
      if (rest)
        rest->push_back(response);
    return stream_->Finish();
  }

  /// The same where only their number matters.
  grpc::Status end(std::size_t& count) {
    response_message response;
    for (count = 0; stream_->Read(&response);)
      ++count;
    return stream_->Finish();
  }

  grpc::ClientContext context;

 private:
  std::unique_ptr<grpc::ClientReaderWriter<inference::ModelInferRequest, response_message>> stream_;
};

std::string id_of(const response_message& response) {
  return response.infer_response().id();
}

bool is_final(const response_message& response) {
  return response.infer_response().parameters().at("triton_final_response").bool_param();
}

inference_response one_output(const std::string& data) {
  inference_response response;
  response.outputs.push_back({"output", datatype::uint8, {static_cast<std::int64_t>(data.size())}, buffer::take(data)});
  return response;
}

struct stream_test : testing_support::gateway_test {
  std::shared_ptr<served_model> add_decoupled(decoupled_instance::work what, const std::string& name = "d") {
    return add_model(std::make_unique<decoupled_instance>(std::move(what)), name, 256, true);
  }

  std::unique_ptr<client_stream> open() { return std::make_unique<client_stream>(*stub); }

  /// The client takes responses of any size from now on.
  void take_any_size() {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    stub = inference::GRPCInferenceService::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  }

  /// Sends `count` responses as large as `bytes`, or until nobody wants them; then says so.
  decoupled_instance::work flood(std::size_t count, std::size_t bytes) {
    return [=, this](work_item& item) {
      for (std::size_t i = 0; i != count && !item.token().cancelled(); ++i)
        item.send(one_output(std::string(bytes, 'x')));
      slow.last = item.token();
      item.complete();
      ++floods_ended;
    };
  }

  /// Has as many responses wait as may, behind one that does not leave before the client reads.
  void fill(work_item& item) {
    item.send(one_output(std::string(stream_infer::most_bytes / 2, 'x')));
    for (std::size_t i = 0; i != stream_infer::most_responses; ++i)
      item.send(one_output("x"));
  }

  std::atomic<int> floods_ended = 0;
};

TEST_F(stream_test, answers_each_request_once) {
  add_model(echo);
  ASSERT_FALSE(start());
  const auto stream = open();
  std::map<std::string, int> seen;
  for (int i = 0; i != 300; ++i) {
    ASSERT_TRUE(stream->send(std::to_string(i)));
    const auto response = stream->next();
    EXPECT_EQ(response.error_message(), "");
    EXPECT_EQ(response.infer_response().raw_output_contents(0), "12345678");
    EXPECT_EQ(response.infer_response().model_name(), "m");
    EXPECT_EQ(response.infer_response().model_version(), "1");
    EXPECT_TRUE(is_final(response));
    ++seen[id_of(response)];
  }
  stream->close();
  EXPECT_TRUE(stream->end().ok());
  EXPECT_EQ(seen.size(), 300u);
}

TEST_F(stream_test, answers_immediate_work) {
  const auto model = add_model(echo, "m", 256, true);
  ASSERT_FALSE(start());
  const auto stream = open();
  for (int i = 0; i != 200; ++i)
    ASSERT_TRUE(stream->send(std::to_string(i)));
  stream->close();
  std::vector<response_message> all;
  EXPECT_TRUE(stream->end(&all).ok());
  ASSERT_EQ(all.size(), 200u);
  for (int i = 0; i != 200; ++i)
    EXPECT_EQ(id_of(all[static_cast<std::size_t>(i)]), std::to_string(i));
  EXPECT_EQ(model->counts().read().output.count, 200u);
}

TEST_F(stream_test, what_is_wrong_with_a_request_is_its_response_and_the_stream_goes_on) {
  add_model(echo);
  ASSERT_FALSE(start());
  const auto stream = open();
  ASSERT_TRUE(stream->send("1", "x"));
  auto response = stream->next();
  EXPECT_EQ(response.error_message(), "NOT_FOUND: there is no model 'x'; RepositoryIndex lists the models");
  EXPECT_EQ(id_of(response), "1");
  EXPECT_EQ(response.infer_response().model_name(), "x");
  EXPECT_TRUE(is_final(response));
  client_call malformed;
  malformed.request.mutable_inputs(0)->set_shape(0, 3);
  ASSERT_TRUE(stream->send(malformed.request));
  EXPECT_THAT(stream->next().error_message(), HasSubstr("INVALID_ARGUMENT: input 'input'"));
  client_call wish;
  (*wish.request.mutable_parameters())["triton_enable_empty_final_response"].set_int64_param(1);
  ASSERT_TRUE(stream->send(wish.request));
  EXPECT_THAT(stream->next().error_message(), HasSubstr("'triton_enable_empty_final_response' is not a bool"));
  ASSERT_TRUE(stream->send("2"));
  response = stream->next();
  EXPECT_EQ(response.error_message(), "");
  EXPECT_EQ(id_of(response), "2");
  stream->close();
  EXPECT_TRUE(stream->end().ok());
}

TEST_F(stream_test, a_decoupled_request_has_any_number_of_responses_in_their_order) {
  add_decoupled([](work_item& item) {
    const auto& id = item.request().inputs.front().data;
    for (std::size_t i = 0; i != id.size(); ++i)
      item.send(one_output(std::to_string(i)));
    item.complete();
  });
  ASSERT_FALSE(start());
  const auto stream = open();
  ASSERT_TRUE(stream->send("a", "d", true));
  for (int i = 0; i != 8; ++i) {
    const auto response = stream->next();
    EXPECT_EQ(response.infer_response().raw_output_contents(0), std::to_string(i));
    EXPECT_FALSE(is_final(response));
  }
  const auto last = stream->next();
  EXPECT_TRUE(is_final(last));
  EXPECT_EQ(id_of(last), "a");
  EXPECT_EQ(last.infer_response().model_name(), "d");
  EXPECT_EQ(last.infer_response().outputs_size(), 0);
  // Not asked for, there is no empty response.
  ASSERT_TRUE(stream->send("b", "d"));
  stream->close();
  std::vector<response_message> rest;
  EXPECT_TRUE(stream->end(&rest).ok());
  EXPECT_EQ(rest.size(), 8u);
}

TEST_F(stream_test, the_last_word_of_a_decoupled_request_may_be_a_response_or_an_error) {
  add_decoupled([](work_item& item) { item.respond(one_output("x")); }, "last");
  add_decoupled(
      [](work_item& item) {
        item.send(one_output("x"));
        item.respond(make_error(status_code::data_loss, "lost"));
        item.send(one_output("late"));
      },
      "lost");
  ASSERT_FALSE(start());
  const auto stream = open();
  ASSERT_TRUE(stream->send("1", "last", true));
  EXPECT_TRUE(is_final(stream->next()));
  ASSERT_TRUE(stream->send("2", "lost", true));
  EXPECT_FALSE(is_final(stream->next()));
  const auto failed = stream->next();
  EXPECT_EQ(failed.error_message(), "DATA_LOSS: lost");
  EXPECT_TRUE(is_final(failed));
  stream->close();
  std::vector<response_message> rest;
  EXPECT_TRUE(stream->end(&rest).ok());
  EXPECT_EQ(rest.size(), 0u);
}

TEST_F(stream_test, a_single_call_to_a_decoupled_model_is_told_of_streams) {
  add_decoupled([](work_item& item) { item.complete(); });
  ASSERT_FALSE(start());
  const auto status = call("d")->wait();
  EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("doesn't support models with decoupled transaction policy"));
  EXPECT_THAT(status.error_message(), HasSubstr("use ModelStreamInfer"));
}

TEST_F(stream_test, responses_come_as_they_are_done) {
  add_model(slow.as_told(), "slow");
  add_model(echo);
  ASSERT_FALSE(start());
  const auto stream = open();
  ASSERT_TRUE(stream->send("slow", "slow"));
  ASSERT_TRUE(stream->send("quick"));
  EXPECT_EQ(id_of(stream->next()), "quick");
  slow.go.release();
  EXPECT_EQ(id_of(stream->next()), "slow");
}

TEST_F(stream_test, a_client_that_has_said_all_gets_what_is_under_way) {
  add_model(slow.as_told());
  ASSERT_FALSE(start());
  const auto stream = open();
  for (int i = 0; i != 3; ++i)
    ASSERT_TRUE(stream->send(std::to_string(i)));
  stream->close();
  await([&] { return slow.running == 1; });
  slow.go.release(3);
  std::vector<response_message> all;
  EXPECT_TRUE(stream->end(&all).ok());
  EXPECT_EQ(all.size(), 3u);
}

TEST_F(stream_test, a_client_that_says_nothing_gets_an_end) {
  ASSERT_FALSE(start());
  const auto stream = open();
  stream->close();
  EXPECT_TRUE(stream->end().ok());
}

TEST_F(stream_test, cancelling_the_stream_cancels_all_of_its_requests_at_once) {
  const auto model = add_model(slow.as_told());
  ASSERT_FALSE(start());
  const auto stream = open();
  for (int i = 0; i != 5; ++i)
    ASSERT_TRUE(stream->send(std::to_string(i)));
  await([&] { return slow.running == 1 && model->calls().stats().queued == 4; });
  const auto cancelled = steady_clock::now();
  stream->context.TryCancel();
  EXPECT_EQ(stream->end().error_code(), StatusCode::CANCELLED);
  await([&] { return model->calls().stats().queued == 0 && slow.last.cancelled(); });
  EXPECT_LT(steady_clock::now() - cancelled, 4s) << "sooner than the queue gives up what waits too long";
  EXPECT_EQ(model->calls().stats().withdrawn, 4u);
  EXPECT_EQ(slow.last.reason().cause, "the client cancelled the stream or went away");
  EXPECT_EQ(pool->stats().busy, 1u) << "what ignores its token keeps its slot";
  slow.go.release();
}

TEST_F(stream_test, a_request_may_run_out_of_time_without_the_stream) {
  add_model(slow.as_told(), "slow");
  add_model(echo);
  ASSERT_FALSE(start());
  const auto stream = open();
  client_call hasty{"slow"};
  (*hasty.request.mutable_parameters())["timeout"].set_int64_param(20'000);
  ASSERT_TRUE(stream->send(hasty.request));
  EXPECT_THAT(stream->next().error_message(), HasSubstr("DEADLINE_EXCEEDED"));
  ASSERT_TRUE(stream->send("2"));
  EXPECT_EQ(id_of(stream->next()), "2");
  slow.go.release();
}

TEST_F(stream_test, the_deadline_of_the_stream_ends_all_of_it) {
  add_model(slow.as_told());
  ASSERT_FALSE(start());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 100ms);
  const auto stream = stub->ModelStreamInfer(&context);
  client_call one;
  ASSERT_TRUE(stream->Write(one.request));
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  await([&] { return slow.running == 1 && slow.last.cancelled(); });
  slow.go.release();
}

TEST_F(stream_test, no_more_requests_are_read_than_may_be_under_way) {
  const auto model = add_model(std::make_unique<testing_support::scripted_instance>(slow.as_told()), "m", 1000, false);
  ASSERT_FALSE(start());
  const auto stream = open();
  for (std::size_t i = 0; i != stream_infer::most_requests + 50; ++i)
    ASSERT_TRUE(stream->send(std::to_string(i)));
  stream->close();
  await([&] { return model->calls().stats().admitted == stream_infer::most_requests; });
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(model->calls().stats().admitted, stream_infer::most_requests);
  slow.go.release(stream_infer::most_requests + 50);
  std::vector<response_message> all;
  EXPECT_TRUE(stream->end(&all).ok());
  EXPECT_EQ(all.size(), stream_infer::most_requests + 50);
}

TEST_F(stream_test, a_client_that_reads_nothing_is_not_asked_for_more) {
  const auto model = add_model(echo, "m", 256, true);
  ASSERT_FALSE(start());
  const auto stream = open();
  std::atomic<int> written = 0;
  client_call large;
  large.request.mutable_inputs(0)->set_shape(0, 1 << 18);
  large.request.set_raw_input_contents(0, std::string(1 << 20, 'x'));
  std::jthread writing{[&] {
    while (written < 200 && stream->send(large.request))
      ++written;
    stream->close();
  }};
  int before = -1;
  while (std::exchange(before, written.load()) != written || written == 0)
    std::this_thread::sleep_for(100ms);
  EXPECT_LT(written, 200);
  EXPECT_LT(model->counts().read().executions, 60u);
  std::vector<response_message> all;
  EXPECT_TRUE(stream->end(&all).ok());
  EXPECT_EQ(all.size(), 200u);
}

TEST_F(stream_test, a_client_that_does_not_read_the_responses_it_asked_for_is_cut_off) {
  add_decoupled(flood(100'000'000, 1));
  add_decoupled(flood(1000, 1 << 20), "large");
  ASSERT_FALSE(start());
  for (const auto* model : {"d", "large"}) {
    const auto stream = open();
    ASSERT_TRUE(stream->send("1", model));
    await([&] { return floods_ended == 1; });
    EXPECT_EQ(slow.last.reason().code, status_code::resource_exhausted);
    const auto status = stream->end();
    EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
    floods_ended = 0;
  }
}

TEST_F(stream_test, a_model_that_is_faster_than_a_client_that_reads_waits_for_it) {
  add_decoupled(flood(10 * stream_infer::most_responses, 1));
  add_decoupled(flood(4, stream_infer::most_bytes / 3), "large");
  ASSERT_FALSE(start());
  take_any_size();
  for (const auto& [model, count] :
       std::map<std::string, std::size_t>{{"d", 10 * stream_infer::most_responses}, {"large", 4}}) {
    const auto stream = open();
    ASSERT_TRUE(stream->send("1", model));
    stream->close();
    std::size_t seen = 0;
    EXPECT_TRUE(stream->end(seen).ok());
    EXPECT_EQ(seen, count);
  }
}

TEST_F(stream_test, several_models_that_are_faster_than_a_client_that_reads_wait_for_it) {
  constexpr std::size_t count = 10 * stream_infer::most_responses;
  const auto work = [](work_item& item) {
    for (std::size_t i = 0; i != count; ++i)
      item.send(one_output("x"));
    item.complete();
  };
  add_decoupled(work, "one");
  add_decoupled(work, "other");
  ASSERT_FALSE(start());
  const auto stream = open();
  ASSERT_TRUE(stream->send("1", "one", true) && stream->send("2", "other", true));
  stream->close();
  std::size_t seen = 0;
  EXPECT_TRUE(stream->end(seen).ok());
  EXPECT_EQ(seen, 2 * (count + 1));
}

TEST_F(stream_test, the_end_of_a_request_always_has_room) {
  add_decoupled([this](work_item& item) {
    fill(item);
    item.complete();
    ++floods_ended;
  });
  ASSERT_FALSE(start());
  take_any_size();
  const auto stream = open();
  ASSERT_TRUE(stream->send("1", "d", true));
  stream->close();
  await([&] { return floods_ended == 1; });
  std::vector<response_message> all;
  const auto status = stream->end(&all);
  EXPECT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(all.size(), stream_infer::most_responses + 2);
  EXPECT_TRUE(is_final(all.back()));
}

TEST_F(stream_test, a_request_that_waits_for_room_may_run_out_of_time_without_the_stream) {
  add_decoupled([this](work_item& item) {
    fill(item);
    item.send(one_output("late"));
    item.complete();
    ++floods_ended;
  });
  ASSERT_FALSE(start());
  take_any_size();
  const auto stream = open();
  client_call hasty{"d"};
  (*hasty.request.mutable_parameters())["timeout"].set_int64_param(1'000'000);
  ASSERT_TRUE(stream->send(hasty.request));
  stream->close();
  await([&] { return floods_ended == 1; });
  std::vector<response_message> all;
  const auto status = stream->end(&all);
  EXPECT_TRUE(status.ok()) << status.error_message();
  ASSERT_FALSE(all.empty());
  EXPECT_THAT(all.back().error_message(), HasSubstr("DEADLINE_EXCEEDED"));
}

TEST_F(stream_test, a_response_larger_than_all_that_may_wait_is_sent) {
  add_decoupled(flood(1, stream_infer::most_bytes + 1));
  ASSERT_FALSE(start());
  take_any_size();
  const auto stream = open();
  ASSERT_TRUE(stream->send("1", "d"));
  stream->close();
  std::vector<response_message> all;
  EXPECT_TRUE(stream->end(&all).ok());
  EXPECT_EQ(all.size(), 1u);
}

TEST_F(stream_test, the_drain_lets_what_is_under_way_finish_and_refuses_the_rest) {
  add_model(slow.as_told());
  ASSERT_FALSE(start({.drain = 1h}));
  const auto stream = open(), idle = open();
  ASSERT_TRUE(stream->send("1"));
  ASSERT_TRUE(idle->send("0", "x"));
  idle->next();
  await([&] { return slow.running == 1; });
  begin_stop();
  EXPECT_EQ(idle->end().error_code(), StatusCode::UNAVAILABLE) << "has nothing to wait for";
  ASSERT_TRUE(stream->send("2"));
  const auto refused = stream->next();
  EXPECT_EQ(id_of(refused), "2");
  EXPECT_EQ(refused.error_message(), "UNAVAILABLE: the node is shutting down; try another node");
  slow.go.release();
  EXPECT_EQ(id_of(stream->next()), "1");
  const auto status = stream->end();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the node is shutting down; try another node");
  await_stop();
}

TEST_F(stream_test, what_is_not_done_when_the_drain_ends_is_cancelled) {
  const auto model = add_model(slow.until_cancelled());
  ASSERT_FALSE(start({.drain = 2h, .grace = 1h}));
  const auto stream = open();
  ASSERT_TRUE(stream->send("1"));
  ASSERT_TRUE(stream->send("2"));
  await([&] { return slow.running == 1 && model->calls().stats().queued == 1; });
  begin_stop();
  pass(2h);
  EXPECT_EQ(stream->end().error_code(), StatusCode::UNAVAILABLE);
  await_stop();
  await([&] { return model->counts().read().executions == 1; });
}

TEST_F(stream_test, a_client_that_does_not_read_does_not_keep_the_gateway) {
  add_decoupled(flood(40, 1 << 20));
  ASSERT_FALSE(start({.drain = 2h, .grace = 1h}));
  const auto stream = open();
  ASSERT_TRUE(stream->send("1", "d"));
  await([&] { return floods_ended == 1; });
  begin_stop();
  pass(2h);
  await_stop();
  EXPECT_EQ(stream->end().error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(stream_test, many_streams_that_are_read_cancelled_and_abandoned_leave_nothing_behind) {
  const auto model = add_model(echo, "m", 64);
  add_model(echo, "now", 64, true);
  add_decoupled(flood(5, 10));
  ASSERT_FALSE(start({.drain = 1h}));
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t != 3; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random{seed + t};
      const char* models[] = {"m", "now", "d", "unknown"};
      for (int i = 0; i != 60; ++i) {
        const auto stream = open();
        const auto count = random() % 40;
        for (unsigned j = 0; j != count; ++j)
          stream->send(std::to_string(j), models[random() % 4], random() % 2 == 0);
        switch (random() % 3) {
          case 0: {
            stream->close();
            std::vector<response_message> all;
            EXPECT_TRUE(stream->end(&all).ok());
            EXPECT_LE(all.size(), count * 6);
            break;
          }
          case 1:
            stream->context.TryCancel();
            stream->end();
            break;
          default:
            break;
        }
      }
    });
  threads.clear();
  stop();  // which waits for every stream of the server's side
  EXPECT_EQ(model->calls().stats().queued, 0u);
}

}  // namespace
}  // namespace troupe
