#include "actors/serving/stuck_watch.hpp"

#include "actors/serving/served_model.hpp"

namespace troupe {

stuck_watch::stuck_watch(served_model& model) {
  grace_.model = &model;
}

stuck_watch::~stuck_watch() {
  // In this order: whoever cancels right now arms the timer.
  first_.reset();
  others_.clear();
  if (clock_)
    clock_->disarm(grace_);
  if (grace_.stuck)
    grace_.model->instance_free(grace_.cancelled);
}

void stuck_watch::add(const cancel_token& token) {
  if (grace_.model->folder().isolation == isolation_kind::process)
    return;
  if (!clock_)
    clock_ = &token.clock();
  if (!first_)
    first_.emplace(token.stop(), on_cancel{*this});
  else
    others_.emplace_back(token.stop(), on_cancel{*this});
}

void stuck_watch::on_cancel::operator()() const {
  if (watch.cancelled_.exchange(true))
    return;
  auto& due = watch.grace_;
  due.cancelled = watch.clock_->now();
  watch.clock_->arm(due, due.cancelled + due.model->folder().host.cancel_grace);
}

void stuck_watch::grace::fire() noexcept {
  stuck = true;
  model->instance_stuck(cancelled);
}

}  // namespace troupe
