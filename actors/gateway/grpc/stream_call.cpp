#include "actors/gateway/grpc/stream_call.hpp"

#include "actors/gateway/grpc/codec.hpp"
#include "actors/gateway/grpc/gateway_thread.hpp"
#include "actors/gateway/grpc/status.hpp"
#include "actors/gateway/grpc/stream_infer.hpp"
#include "actors/gateway/request_log.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/served_model.hpp"

#include <exception>
#include <string>
#include <utility>

namespace troupe {
namespace {

void set_final(inference::ModelStreamInferResponse& response, bool last) {
  (*response.mutable_infer_response()->mutable_parameters())["triton_final_response"].set_bool_param(last);
}

/// A response without outputs, by which a client finds the request that it belongs to.
std::unique_ptr<inference::ModelStreamInferResponse> empty_final(const inference::ModelInferRequest& request,
                                                                 const std::string& version) {
  auto result = std::make_unique<inference::ModelStreamInferResponse>();
  auto& response = *result->mutable_infer_response();
  response.set_id(request.id());
  response.set_model_name(request.model_name());
  response.set_model_version(version);
  set_final(*result, true);
  return result;
}

}  // namespace

void stream_call::begin(std::shared_ptr<stream_infer> stream, std::shared_ptr<const message> request, bool admitted) {
  const auto self = std::make_shared<stream_call>(std::move(stream), std::move(request), admitted);
  self->self_ = self;
  if (!admitted)
    return self->fail(shutting_down());
  try {
    if (const auto submitted = self->submit(); !submitted)
      self->respond(submitted.error());
  } catch (const std::exception& e) {
    // Such as std::bad_alloc, of which gRPC must not learn.
    self->respond(make_error(status_code::internal, std::string{"reading the request failed: "} + e.what()));
  }
}

stream_call::stream_call(std::shared_ptr<stream_infer> stream, std::shared_ptr<const message> request, bool admitted)
    : inference_call(no_deadline, stream->token()),
      stream_(std::move(stream)),
      request_(std::move(request)),
      admitted_(admitted),
      began_(steady_clock::now()) {
  client = stream_->client();
}

expected<void> stream_call::submit() {
  if (auto done = read(); !done)
    return done;
  // From here on another thread may end it.
  on_cancel_.emplace(token().stop(), [this] {
    if (const auto self = weak_from_this().lock())
      self->give_up();
  });
  const gateway_thread here;
  if (auto submitted = model_->submit(shared_from_this()); !submitted)
    return submitted;
  // It may have been given up before there was anything to withdraw.
  if (token().cancelled())
    give_up();
  return {};
}

expected<void> stream_call::read() {
  const auto& context = stream_->context();
  auto entered = context.routes->enter(request_->model_name(), request_->model_version());
  if (!entered)
    return entered.error();
  model_ = *std::move(entered);
  decoupled_ = model_->describe()->decoupled;
  if (auto done = read_call(*request_, request_, {context.memory, context.most_shared_bytes}, *model_, *this); !done)
    return done;
  if (auto done = read_final_response_wish(); !done)
    return done;
  auto shared = shared_outputs::of(*request_, context.memory);
  if (!shared)
    return shared.error();
  shared_outputs_ = *std::move(shared);
  return {};
}

expected<void> stream_call::read_final_response_wish() {
  constexpr auto name = "triton_enable_empty_final_response";
  const auto wish = input.parameters.find(name);
  if (wish == input.parameters.end())
    return {};
  const auto* value = std::get_if<bool>(&wish->second);
  if (!value)
    return make_error(status_code::invalid_argument, std::string{"parameter '"} + name + "' is not a bool");
  wants_empty_final_ = *value;
  input.parameters.erase(wish);
  return {};
}

void stream_call::send(inference_response response) {
  answer(response, !decoupled_);
}

void stream_call::respond(expected<inference_response> answer) {
  if (answer)
    this->answer(*answer, true);
  else
    fail(answer.error());
}

void stream_call::complete() {
  if (!decoupled_)
    fail(make_error(status_code::internal, "the skillset ended the request without a response"));
  else
    last_word(wants_empty_final_ ? empty_final(*request_, model_->version()) : nullptr, nullptr);
}

void stream_call::answer(const inference_response& response, bool last) {
  if (ended_)
    return;
  const auto began = steady_clock::now();
  if (const auto written = shared_outputs_.write(response); !written) {
    fail(written.error());
    // There is nobody left whom further responses would help.
    scope().cancel(written.error());
    return;
  }
  auto result = std::make_unique<inference::ModelStreamInferResponse>();
  encode(response, *request_, model_->version(), shared_outputs_, *result->mutable_infer_response());
  set_final(*result, last);
  writing_ += steady_clock::now() - began;
  if (last)
    last_word(std::move(result), nullptr);
  else
    stream_->post(*this, std::move(result), false);
}

void stream_call::fail(const error& why) {
  if (ended_)
    return;
  auto result = empty_final(*request_, model_ ? model_->version() : request_->model_version());
  result->set_error_message(to_string(why));
  last_word(std::move(result), &why);
}

void stream_call::last_word(std::unique_ptr<inference::ModelStreamInferResponse> response, const error* failure) {
  if (!stream_->post(*this, std::move(response), true))
    return;
  if (!failure) {
    commit();
    model_->counts().input_read(admitted_at() - began_);
    model_->counts().output_written(writing_);
  }
  log_request(request_->id(), request_->model_name(), began_, failure);
  // Whoever still runs the call holds it; otherwise it ends here.
  const auto last = std::move(self_);
}

/// Answers a cancelled call at once, wherever it is.
void stream_call::give_up() {
  model_->withdraw(*this);
  fail(token().reason());
}

}  // namespace troupe
