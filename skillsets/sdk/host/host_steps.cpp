#include "skillsets/sdk/host/host_steps.hpp"

#include "skillsets/sdk/host/messages.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace troupe {

using namespace host;

expected<void> host_steps::admit(const std::shared_ptr<const wire::ToHost>& message, const attachments& files) {
  const auto& what = message->admit();
  auto request = from_wire(what.request(), message, files, &out_.segments().others);
  if (!request)
    return request.error();
  const std::lock_guard lock{mutex_};
  std::size_t wanted = 0;
  for (const auto& item : items_) {
    if (item->index() == what.item())
      return make_error(status_code::invalid_argument, "request " + std::to_string(what.item()) + " is there twice");
    wanted += item->token().cancelled() ? 0 : 1;
  }
  if (wanted >= engine_.capacity())
    return make_error(status_code::invalid_argument, "one request more than the " + std::to_string(engine_.capacity()) +
                                                         " that the model has at once");
  newcomers_.push_back(std::make_shared<host_item>(what.item(), *std::move(request), out_));
  items_.push_back(newcomers_.back());
  return {};
}

void host_steps::cancel(std::optional<std::uint32_t> which) {
  std::vector<std::shared_ptr<host_item>> taken_back;
  {
    const std::lock_guard lock{mutex_};
    for (const auto& item : items_)
      if (!which || item->index() == *which)
        taken_back.push_back(item);
  }
  // Not under the lock: whoever watches the token is called from here.
  for (const auto& item : taken_back)
    item->cancel();
}

expected<void> host_steps::work(std::chrono::milliseconds most) {
  const auto until = steady_clock::now() + most;
  let_in();
  do {
    if (auto done = in_.step(); !done) {
      const std::lock_guard lock{mutex_};
      items_.clear();
      newcomers_.clear();
      return done;
    }
    forget_ended();
  } while (!in_.empty() && !paused_ && steady_clock::now() < until);
  return {};
}

/// Lets nobody in: that could be answered, and nobody listens.
void host_steps::sweep() {
  in_.evict_cancelled();
  forget_ended();
}

/// The node sees to it that there is room for those that it still wants.
void host_steps::let_in() {
  in_.evict_cancelled();
  std::vector<std::shared_ptr<host_item>> arrived;
  {
    const std::lock_guard lock{mutex_};
    arrived.swap(newcomers_);
  }
  for (const auto& item : arrived)
    if (const auto token = item->token(); token.cancelled())
      item->respond(token.reason());
    else
      in_.admit(*item);
}

void host_steps::forget_ended() {
  const std::lock_guard lock{mutex_};
  std::erase_if(items_, [](const auto& item) { return item->ended(); });
}

}  // namespace troupe
