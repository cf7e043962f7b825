#include "actors/serving/router.hpp"

#include <algorithm>

namespace troupe {

expected<std::shared_ptr<served_model>> router::find(std::string_view name, std::string_view version) const {
  const std::shared_lock lock{mutex_};
  const auto i = models_.find(name);
  if (i == models_.end())
    return make_error(status_code::not_found, "there is no model '" + std::string{name} + "'",
                      "RepositoryIndex lists the models");
  if (!version.empty() && version != i->second->version())
    return make_error(status_code::not_found,
                      "model '" + std::string{name} + "' has no version '" + std::string{version} + "'",
                      "it has version '" + i->second->version() + "'");
  return i->second;
}

expected<served_model::visit> router::enter(std::string_view name, std::string_view version) const {
  for (;;) {
    const auto model = find(name, version);
    if (!model)
      return model.error();
    auto visit = (*model)->enter();
    if (visit)
      return visit;
    if (const auto now = find(name, version); now && *now == *model)
      return visit;
  }
}

std::vector<std::shared_ptr<served_model>> router::all() const {
  const std::shared_lock lock{mutex_};
  std::vector<std::shared_ptr<served_model>> result;
  for (const auto& [name, model] : models_)
    result.push_back(model);
  return result;
}

bool router::settled() const {
  const auto models = all();
  return std::all_of(models.begin(), models.end(), [](const auto& model) {
    const auto state = model->current().state;
    return state != model_state::loading &&
           (state != model_state::unavailable || model->folder().on_failure == failure_policy::unavailable);
  });
}

void router::insert(std::shared_ptr<served_model> model) {
  {
    const std::unique_lock lock{mutex_};
    auto name = model->name();
    models_.insert_or_assign(std::move(name), std::move(model));
  }
  notify();
}

std::size_t router::subscribe(std::function<void()> watch) {
  const std::lock_guard lock{watch_mutex_};
  watches_.emplace(++next_watch_, std::move(watch));
  return next_watch_;
}

void router::unsubscribe(std::size_t subscription) {
  const std::lock_guard lock{watch_mutex_};
  watches_.erase(subscription);
}

void router::notify() const {
  const std::lock_guard lock{watch_mutex_};
  for (const auto& [subscription, watch] : watches_)
    watch();
}

}  // namespace troupe
