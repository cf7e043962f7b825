#include "skillsets/sdk/continuous_work.hpp"

#include "skillsets/sdk/run_one.hpp"

#include <utility>

namespace troupe {

/// A request as the instance has it, which notes its last word.
class continuous_work::entry final : public work_item {
 public:
  explicit entry(work_item& item) : item_(item) {}

  const inference_request& request() const noexcept override { return item_.request(); }
  cancel_token token() const noexcept override { return item_.token(); }
  const std::any& state() const noexcept override { return item_.state(); }
  void set_state(std::any state) override { item_.set_state(std::move(state)); }

  void send(inference_response response) override {
    if (!ended_)
      item_.send(std::move(response));
  }
  void respond(expected<inference_response> answer) override {
    if (!std::exchange(ended_, true))
      item_.respond(std::move(answer));
  }
  void complete() override {
    if (!std::exchange(ended_, true))
      item_.complete();
  }

  bool ended() const noexcept { return ended_; }

 private:
  work_item& item_;
  bool ended_ = false;
};

continuous_work::continuous_work(continuous_instance& worker) : worker_(worker) {}

continuous_work::~continuous_work() {
  evict_all();
}

void continuous_work::admit(work_item& item) {
  auto& in = entries_.emplace_back(item);
  if (const auto admitted = contained([&] { return worker_.admit(in); }); !admitted)
    in.respond(admitted.error());
  if (in.ended())
    entries_.pop_back();
}

void continuous_work::evict_cancelled() {
  std::erase_if(entries_, [&](entry& in) {
    const auto token = in.token();
    if (!token.cancelled())
      return false;
    worker_.evict(in);
    in.respond(token.reason());
    return true;
  });
}

expected<void> continuous_work::step() {
  evict_cancelled();
  if (empty())
    return {};
  auto done = contained([&] { return worker_.step(); });
  std::erase_if(entries_, [](const entry& in) { return in.ended(); });
  if (!done)
    evict_all();
  return done;
}

void continuous_work::evict_all() noexcept {
  for (auto& in : entries_)
    worker_.evict(in);
  entries_.clear();
}

expected<void> continuous_instance::run(std::span<work_item* const> batch, const cancel_token& token) {
  continuous_work work{*this};
  for (auto next = batch.begin();;) {
    for (; next != batch.end() && work.has_room(); ++next)
      work.admit(**next);
    if (work.empty())
      return {};
    if (token.cancelled())
      return token.reason();
    if (auto done = work.step(); !done)
      return done;
  }
}

}  // namespace troupe
