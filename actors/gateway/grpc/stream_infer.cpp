#include "actors/gateway/grpc/stream_infer.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/gateway/grpc/deadline.hpp"
#include "actors/gateway/grpc/gateway_thread.hpp"
#include "actors/gateway/grpc/status.hpp"
#include "actors/gateway/grpc/stream_call.hpp"

#include <grpc/grpc.h>

#include <string>
#include <utility>

namespace troupe {
namespace {

/// True for a last word without anything of the model's. It has room whatever waits: there are no more of them than
/// requests under way, and who says it (the end of a decoupled request, or whoever cancels it) may not wait.
bool is_mere_end(const inference::ModelStreamInferResponse& message, bool last) {
  return last && message.infer_response().outputs_size() == 0;
}

}  // namespace

grpc::ServerBidiReactor<stream_infer::request_message, stream_infer::response_message>* stream_infer::begin(
    const std::shared_ptr<call_context>& context, grpc::CallbackServerContext& call) {
  auto self = std::make_shared<stream_infer>(context, call);
  self->self_ = self;
  if (context->calls.enter())
    self->inside_ = 1;
  else
    self->scope_.cancel(shutting_down());
  self->watch();
  self->progress();
  return self.get();
}

stream_infer::stream_infer(std::shared_ptr<call_context> context, grpc::CallbackServerContext& call)
    : context_(std::move(context)),
      call_(call),
      client_(std::hash<std::string>{}(call.peer())),
      scope_(deadline_of(call), context_->scope.token()) {}

void stream_infer::watch() {
  on_stop_.emplace(token().stop(), [this] { stop(token().reason()); });
  on_closing_.emplace(context_->closing.token().stop(), [this] {
    {
      const std::lock_guard lock{mutex_};
      closing_ = true;
    }
    progress();
  });
}

bool stream_infer::post(stream_call& call, std::unique_ptr<response_message> message, bool last) {
  const auto bytes = message ? message->ByteSizeLong() : 0;
  bool overflow = false;
  {
    std::unique_lock lock{mutex_};
    if (message && !is_mere_end(*message, last)) {
      // A client that reads may be slower than its model; only where nobody may be held up does it have to keep up.
      if (!gateway_thread::here() && !call.in_company)
        await_room(lock, bytes, call.token());
      overflow = !has_room(bytes);
      // Its last word is on the way.
      if (overflow && call.token().cancelled())
        return false;
    }
    if (call.ended_)
      return false;
    call.ended_ = last;
    if (stopped_)
      return true;
    if (message) {
      waiting_.push_back({std::move(message), bytes, last, call.admitted()});
      waiting_bytes_ += bytes;
    } else if (last) {
      request_over(call.admitted());
    }
  }
  if (overflow)
    scope_.cancel(make_error(status_code::resource_exhausted,
                             "more than " + std::to_string(most_responses) + " responses or " +
                                 std::to_string(most_bytes >> 20) + " MiB of them waited for the client to read",
                             "read responses as they come, or send fewer requests at once"));
  progress();
  return true;
}

void stream_infer::await_room(std::unique_lock<std::mutex>& lock, std::size_t bytes, const cancel_token& token) {
  while (!stopped_ && !has_room(bytes)) {
    const auto before = taken_;
    const cancel_scope patience{after(most_patience, token), token};
    room_.wait(lock, patience.token().stop(), [&] { return stopped_ || taken_ != before; });
    if (taken_ == before)
      return;
  }
}

void stream_infer::OnReadDone(bool ok) {
  std::shared_ptr<request_message> request;
  bool admitted = false;
  {
    const std::lock_guard lock{mutex_};
    half_closed_ |= !ok;
    if (ok && !stopped_ && !finished_) {
      request = std::move(arriving_);
      admitted = context_->calls.enter();
      inside_ += admitted ? 1 : 0;
      ++under_way_;
    }
  }
  // Only afterwards is the next one read: requests are submitted in their order.
  if (request)
    stream_call::begin(self_, std::move(request), admitted);
  {
    const std::lock_guard lock{mutex_};
    reading_ = false;
  }
  progress();
}

void stream_infer::OnWriteDone(bool ok) {
  outgoing sent;
  {
    const std::lock_guard lock{mutex_};
    writing_ = false;
    sent = std::exchange(leaving_, {});
    if (sent.last)
      request_over(sent.admitted);
  }
  if (!ok)
    scope_.cancel(make_error(status_code::cancelled, "the client went away"));
  progress();
}

void stream_infer::OnCancel() {
  {
    const std::lock_guard lock{mutex_};
    if (stopped_ || finished_)
      return;
  }
  const auto token = this->token();
  if (!token.cancelled())
    scope_.cancel(make_error(status_code::cancelled, "the client cancelled the stream or went away"));
  else
    scope_.cancel(token.reason());
}

void stream_infer::OnDone() {
  std::size_t inside = 0;
  {
    const std::lock_guard lock{mutex_};
    inside = std::exchange(inside_, 0);
  }
  for (; inside > 0; --inside)
    context_->calls.leave();
  // Whoever still works for the stream holds it; otherwise it ends here.
  const auto last = std::move(self_);
}

/// Ends the stream without what waits; its calls see the same cancellation.
void stream_infer::stop(const error& why) {
  std::deque<outgoing> dropped;
  {
    const std::lock_guard lock{mutex_};
    if (stopped_ || finished_)
      return;
    stopped_ = why;
    dropped.swap(waiting_);
    waiting_bytes_ = 0;
  }
  room_.notify_all();
  log_event(spdlog::level::info, "stream stopped", {{"code", to_string(why.code)}, {"reason", why.message()}});
  progress();
}

/// Has gRPC do what is to be done next: write, read, end. Called without the lock after every change. gRPC is, too,
/// because it may call back.
void stream_infer::progress() {
  std::unique_lock lock{mutex_};
  while (!finished_) {
    const bool write = !writing_ && !waiting_.empty();
    const bool read = may_read();
    // What is being written to a client that doesn't read would never end.
    const bool cut = stopped_ && writing_ && !cut_;
    if (!write && !read && !cut)
      break;
    if (write) {
      leaving_ = std::move(waiting_.front());
      waiting_.pop_front();
      waiting_bytes_ -= leaving_.bytes;
    }
    if (read)
      arriving_ = std::make_shared<request_message>();
    writing_ |= write;
    reading_ |= read;
    cut_ |= cut;
    ++starting_;
    const auto* response = leaving_.message.get();
    auto* request = arriving_.get();
    taken_ += write ? 1 : 0;
    lock.unlock();
    if (write) {
      room_.notify_all();
      StartWrite(response);
    }
    if (read)
      StartRead(request);
    if (cut) {
      const auto status = to_grpc(token().reason());
      grpc_call_cancel_with_status(call_.c_call(), static_cast<grpc_status_code>(status.error_code()),
                                   status.error_message().c_str(), nullptr);
    }
    lock.lock();
    --starting_;
  }
  if (!over())
    return;
  finished_ = true;
  auto status = stopped_ ? to_grpc(*stopped_) : half_closed_ ? grpc::Status::OK : to_grpc(shutting_down());
  lock.unlock();
  Finish(std::move(status));
}

/// A client that does not take its responses is not asked for more requests.
bool stream_infer::may_read() const {
  return !stopped_ && !reading_ && !half_closed_ && under_way_ < most_requests &&
         waiting_.size() < most_responses / 2 && waiting_bytes_ < most_bytes / 2;
}

bool stream_infer::over() const {
  if (finished_ || writing_ || starting_ > 0)
    return false;
  return stopped_ || ((half_closed_ || closing_) && under_way_ == 0);
}

/// A response that is larger than all that may wait does so alone.
bool stream_infer::has_room(std::size_t bytes) const {
  return waiting_.size() < most_responses && (waiting_.empty() || waiting_bytes_ + bytes <= most_bytes);
}

void stream_infer::request_over(bool admitted) {
  --under_way_;
  if (!admitted)
    return;
  --inside_;
  context_->calls.leave();
}

}  // namespace troupe
