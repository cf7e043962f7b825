#include "skillsets/sdk/host/host_batch.hpp"

#include "skillsets/sdk/host/messages.hpp"
#include "skillsets/sdk/run_one.hpp"

#include <utility>
#include <vector>

namespace troupe {

using namespace host;

expected<std::shared_ptr<host_batch>> host_batch::make(const std::shared_ptr<const wire::ToHost>& message,
                                                       const attachments& files, answer_writer& out) {
  if (message->run().items().empty())
    return make_error(status_code::invalid_argument, "a run has no requests");
  std::shared_ptr<host_batch> batch{new host_batch};
  for (const auto& each : message->run().items()) {
    auto request = from_wire(each, message, files, &out.segments().others);
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
