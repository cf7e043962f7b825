#include "actors/gateway/http/openai/inference_calls.hpp"

#include "actors/concurrency/async.hpp"
#include "actors/gateway/prepare_call.hpp"
#include "actors/gateway/request_log.hpp"
#include "actors/serving/inference_call.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>
#include <stop_token>
#include <utility>

namespace troupe::openai {
namespace {

/// Answers that may wait in all, and of each call where that is more: as many tokens as a small model writes while its
/// reader is busy for some seconds.
constexpr std::size_t most_waiting = 4096;
constexpr std::size_t most_waiting_each = 256;

/// Answers that go on their way together.
constexpr std::size_t most_at_once = 64;

stream<call_answer> make_answers(std::size_t calls) {
  return *make_stream<call_answer>(static_cast<std::int64_t>(std::max(most_waiting, calls * most_waiting_each)));
}

error too_slow() {
  return make_error(status_code::resource_exhausted, "the client has not taken what it was answered",
                    "read the stream as it comes");
}

}  // namespace

struct inference_calls::company {
  company(served_model::visit of, call_origin from, const cancel_token& parent, send_half<call_answer> to)
      : model(std::move(of)), origin(std::move(from)), scope(no_deadline, parent), answers(std::move(to)) {}

  const served_model::visit model;
  const call_origin origin;
  cancel_scope scope;
  send_half<call_answer> answers;
};

/// One of them. Cancelled, it is answered at once, wherever it is.
class numbered_call final : public inference_call, public std::enable_shared_from_this<numbered_call> {
 public:
  numbered_call(std::size_t number, std::shared_ptr<inference_calls::company> company)
      : inference_call(no_deadline, company->scope.token()), number_(number), company_(std::move(company)) {
    client = company_->origin.client;
  }

  expected<void> submit(inference_request request) {
    input = std::move(request);
    if (auto prepared = prepare_call(model(), *this); !prepared)
      return refused(std::move(prepared).error());
    on_cancel_.emplace(token().stop(), [this] {
      if (const auto self = weak_from_this().lock())
        self->give_up();
    });
    if (auto submitted = model().submit(shared_from_this()); !submitted)
      return refused(std::move(submitted).error());
    // It may have been given up before there was anything to withdraw.
    if (token().cancelled())
      give_up();
    return {};
  }

  void send(inference_response response) override {
    if (!ended_)
      post(std::move(response), false);
  }

  void complete() override {
    respond(make_error(status_code::internal, "the skillset ended the request without its last response"));
  }

  void respond(expected<inference_response> answer) override {
    if (ended_.exchange(true))
      return;
    if (answer) {
      commit();
      model().counts().input_read(admitted_at() - company_->origin.began);
    }
    log(answer ? nullptr : &answer.error());
    post(std::move(answer), true);
  }

  bool ended() const noexcept { return ended_; }

 private:
  served_model& model() const noexcept { return *company_->model; }

  void log(const error* failure) const {
    log_request(company_->origin.id, model().name(), company_->origin.began, failure);
  }

  /// Nobody has taken it.
  error refused(error why) {
    if (!ended_.exchange(true))
      log(&why);
    return why;
  }

  void give_up() {
    model().withdraw(*this);
    respond(token().reason());
  }

  /// There is nobody left to tell when it can't be sent.
  void post(expected<inference_response> answer, bool last) {
    const auto sent = company_->answers.try_send(call_answer{number_, std::move(answer), last});
    if (!sent && sent.error().code == status_code::resource_exhausted)
      company_->scope.cancel(too_slow());
  }

  const std::size_t number_;
  const std::shared_ptr<inference_calls::company> company_;
  std::atomic<bool> ended_ = false;

  // Last, so that what it calls is still there while it is being destroyed.
  std::optional<std::stop_callback<std::function<void()>>> on_cancel_;
};

inference_calls::inference_calls(served_model::visit model, call_origin origin, const cancel_token& parent,
                                 std::size_t most)
    : inference_calls(std::move(model), std::move(origin), parent, make_answers(most)) {
  calls_.reserve(most);
}

inference_calls::inference_calls(served_model::visit model, call_origin origin, const cancel_token& parent,
                                 stream<call_answer> answers)
    : company_(std::make_shared<company>(std::move(model), std::move(origin), parent, std::move(answers.sender))),
      answers_(std::move(answers.receiver)) {}

inference_calls::~inference_calls() {
  answers_.close();
  if (std::any_of(calls_.begin(), calls_.end(), [](const auto& call) { return !call->ended(); }))
    company_->scope.cancel(make_error(status_code::cancelled, "the request has ended"));
}

expected<void> inference_calls::submit(inference_request input) {
  if (auto wanted = company_->scope.token().check(); !wanted)
    return wanted;
  calls_.push_back(std::make_shared<numbered_call>(calls_.size(), company_));
  return calls_.back()->submit(std::move(input));
}

boost::asio::awaitable<expected<std::vector<call_answer>>> inference_calls::receive() {
  auto next = answers_.receive_up_to(most_at_once);
  co_return co_await async(std::move(next), company_->scope.token(), boost::asio::use_awaitable);
}

boost::asio::awaitable<expected<std::vector<call_answer>>> inference_calls::receive_within(
    steady_clock::duration patience) {
  const auto all = company_->scope.token();
  auto waiting = move_on_after(patience, all);
  auto next = answers_.receive_up_to(most_at_once);
  auto received = waiting.leave(co_await async(std::move(next), waiting.token(), boost::asio::use_awaitable));
  if (!received)
    co_return std::move(received).error();
  co_return std::move(*received).value_or(std::vector<call_answer>{});
}

served_model& inference_calls::model() const noexcept {
  return *company_->model;
}

void inference_calls::count_output(steady_clock::duration took) const {
  for (std::size_t i = 0; i != calls_.size(); ++i)
    model().counts().output_written(took / calls_.size());
}

}  // namespace troupe::openai
