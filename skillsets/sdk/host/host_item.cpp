#include "skillsets/sdk/host/host_item.hpp"

#include "skillsets/sdk/host/messages.hpp"

#include <utility>

namespace troupe {

using namespace host;

void host_item::send(inference_response response) {
  if (ended_ || token().cancelled())
    return;
  if (const auto written = write(response, false); !written)
    respond(written.error());
}

void host_item::respond(expected<inference_response> answer) {
  if (std::exchange(ended_, true) || token().cancelled())
    return;
  const auto why = answer ? write(*answer, true) : expected<void>{std::move(answer).error()};
  if (!why)
    write_last([&](wire::Answer& to) { to_wire(why.error(), *to.mutable_failure()); });
}

void host_item::complete() {
  if (std::exchange(ended_, true) || token().cancelled())
    return;
  write_last([](wire::Answer&) {});
}

/// RESOURCE_EXHAUSTED for a response that is too long to cross.
expected<void> host_item::write(const inference_response& response, bool last) {
  wire::FromHost message;
  auto& answer = *message.mutable_answer();
  answer.set_item(index_);
  answer.set_last(last);
  to_wire(response, *answer.mutable_response());
  return out_.write(message);
}

/// What can't be written here finds no reader: the node is gone, and this process ends.
template <class Fill>
void host_item::write_last(Fill fill) {
  wire::FromHost message;
  auto& answer = *message.mutable_answer();
  answer.set_item(index_);
  answer.set_last(true);
  fill(answer);
  static_cast<void>(out_.write(message));
}

}  // namespace troupe
