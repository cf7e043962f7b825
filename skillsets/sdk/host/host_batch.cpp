#include "skillsets/sdk/host/host_batch.hpp"

#include "skillsets/sdk/host/messages.hpp"
#include "skillsets/sdk/run_one.hpp"

#include <utility>
#include <vector>

namespace troupe {

using namespace host;

class host_batch::item final : public work_item {
 public:
  item(std::uint32_t index, inference_request request, frame_writer& out)
      : index_(index), request_(std::move(request)), out_(out) {}

  const inference_request& request() const noexcept override { return request_; }
  cancel_token token() const noexcept override { return scope_.token(); }

  void send(inference_response response) override {
    if (dropped())
      return;
    if (const auto written = write(response, false); !written)
      respond(written.error());
  }

  void respond(expected<inference_response> answer) override {
    if (dropped())
      return;
    ended_ = true;
    auto why = answer ? write(*answer, true) : expected<void>{std::move(answer).error()};
    if (!why)
      write_last([&](wire::Answer& to) { to_wire(why.error(), *to.mutable_failure()); });
  }

  void complete() override {
    if (dropped())
      return;
    ended_ = true;
    write_last([](wire::Answer&) {});
  }

  bool cancel() { return scope_.cancel(make_error(status_code::cancelled, "the node takes the request back")); }

 private:
  bool dropped() const noexcept { return ended_ || token().cancelled(); }

  /// RESOURCE_EXHAUSTED for a response that is too long to cross.
  expected<void> write(const inference_response& response, bool last) {
    wire::FromHost message;
    auto& answer = *message.mutable_answer();
    answer.set_item(index_);
    answer.set_last(last);
    to_wire(response, *answer.mutable_response());
    return out_.write(message);
  }

  /// What can't be written here finds no reader: the node is gone, and this process ends.
  template <class Fill>
  void write_last(Fill fill) {
    wire::FromHost message;
    auto& answer = *message.mutable_answer();
    answer.set_item(index_);
    answer.set_last(true);
    fill(answer);
    static_cast<void>(out_.write(message));
  }

  const std::uint32_t index_;
  const inference_request request_;
  frame_writer& out_;
  cancel_scope scope_;
  bool ended_ = false;
};

expected<std::shared_ptr<host_batch>> host_batch::make(const std::shared_ptr<const wire::ToHost>& message,
                                                       frame_writer& out) {
  if (message->run().items().empty())
    return make_error(status_code::invalid_argument, "a run has no requests");
  std::shared_ptr<host_batch> batch{new host_batch};
  for (const auto& each : message->run().items()) {
    auto request = from_wire(each, message);
    if (!request)
      return request.error();
    batch->items_.emplace_back(static_cast<std::uint32_t>(batch->items_.size()), *std::move(request), out);
  }
  batch->wanted_ = batch->items_.size();
  return batch;
}

expected<void> host_batch::run(instance& worker) {
  std::vector<work_item*> view;
  for (auto& each : items_)
    view.push_back(&each);
  return run_contained(worker, view, scope_.token());
}

expected<void> host_batch::cancel(std::size_t index) {
  if (index >= items_.size())
    return make_error(status_code::invalid_argument, "there is no request " + std::to_string(index) + " in the batch");
  if (items_[index].cancel() && --wanted_ == 0)
    scope_.cancel(items_[index].token().reason());
  return {};
}

void host_batch::cancel() {
  for (std::size_t i = 0; i != items_.size(); ++i)
    static_cast<void>(cancel(i));
}

}  // namespace troupe
