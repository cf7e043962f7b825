#include "actors/serving/stuck_watch.hpp"

#include "actors/serving/served_model.hpp"

namespace troupe {

stuck_watch::stuck_watch(served_model& model, const cancel_token& token) : clock_(token.clock()) {
  if (model.folder().isolation == isolation_kind::process)
    return;
  grace_.model = &model;
  cancelled_.emplace(token.stop(), on_cancel{*this});
}

stuck_watch::~stuck_watch() {
  // In this order: whoever cancels right now arms the timer.
  cancelled_.reset();
  if (!grace_.model)
    return;
  clock_.disarm(grace_);
  if (grace_.stuck)
    grace_.model->instance_free(grace_.cancelled);
}

void stuck_watch::on_cancel::operator()() const {
  auto& due = watch_.grace_;
  due.cancelled = watch_.clock_.now();
  watch_.clock_.arm(due, due.cancelled + due.model->folder().host.cancel_grace);
}

void stuck_watch::grace::fire() noexcept {
  stuck = true;
  model->instance_stuck(cancelled);
}

}  // namespace troupe
