#include "skillsets/sdk/conformance/subject.hpp"

#include "skillsets/sdk/conformance/made_up.hpp"
#include "skillsets/sdk/run_one.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <utility>

namespace troupe::conformance {
namespace {

/// What `function` of the skillset gives, or what it threw.
template <class Function>
auto called(const char* what, Function function) -> decltype(function()) try {
  return function();
} catch (const std::exception& e) {
  return make_error(status_code::internal, std::string{what} + " threw: " + e.what());
} catch (...) {
  return make_error(status_code::internal, std::string{what} + " threw something that is no exception");
}

class tried_item final : public work_item {
 public:
  tried_item(const inference_request& what, cancel_token token) : request_(what), token_(std::move(token)) {}

  const inference_request& request() const noexcept override { return request_; }
  cancel_token token() const noexcept override { return token_; }
  void send(inference_response response) override {
    if (!came_to.ended)
      came_to.responses.push_back(std::move(response));
  }
  void respond(expected<inference_response> answer) override {
    if (answer)
      send(*std::move(answer));
    else if (!came_to.ended)
      came_to.failure = std::move(answer).error();
    came_to.ended = true;
  }
  void complete() override { came_to.ended = true; }

  outcome came_to;

 private:
  const inference_request& request_;
  const cancel_token token_;
};

template <class T>
std::string float_difference(const tensor& a, const tensor& b, double tolerance) {
  const auto count = a.data.size() / sizeof(T);
  std::vector<T> left(count), right(count);
  if (count > 0) {
    std::memcpy(left.data(), a.data.bytes().data(), count * sizeof(T));
    std::memcpy(right.data(), b.data.bytes().data(), count * sizeof(T));
  }
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i != count; ++i) {
    if (std::isnan(left[i]) && std::isnan(right[i]))
      continue;
    largest = std::max<double>(largest, std::abs(static_cast<double>(left[i])));
    const double apart =
        left[i] == right[i] ? 0 : std::abs(static_cast<double>(left[i]) - static_cast<double>(right[i]));
    worst = std::isnan(apart) ? std::numeric_limits<double>::infinity() : std::max(worst, apart);
  }
  return worst <= tolerance * largest ? ""
                                      : "elements of output '" + a.name + "' are up to " + std::to_string(worst) +
                                            " apart, where the largest is " + std::to_string(largest);
}

std::string difference(const tensor& a, const tensor& b, double tolerance) {
  if (a.name != b.name || a.type != b.type || a.shape != b.shape)
    return "output '" + a.name + "' is " + std::string{to_string(a.type)} + shape_to_string(a.shape) + ", and '" +
           b.name + "' is " + std::string{to_string(b.type)} + shape_to_string(b.shape);
  if (a.data.view() == b.data.view())
    return "";
  if (a.data.size() == b.data.size() && a.type == datatype::fp32)
    return float_difference<float>(a, b, tolerance);
  if (a.data.size() == b.data.size() && a.type == datatype::fp64)
    return float_difference<double>(a, b, tolerance);
  return "output '" + a.name + "' has other bytes";
}

}  // namespace

subject::subject(skillset& skills, model_settings settings, options how)
    : skills_(skills), settings_(std::move(settings)), how_(std::move(how)), random_(how_.seed) {}

expected<std::unique_ptr<loaded_model>> subject::load(const model_settings& settings, const cancel_token& token) {
  auto loaded = called("load", [&] { return skills_.load(settings, token); });
  if (loaded && !*loaded)
    return make_error(status_code::internal, "load gives no model and no error");
  return loaded;
}

expected<std::unique_ptr<instance>> subject::make_worker(loaded_model& model) {
  auto made = called("make_instance", [&] { return model.make_instance(); });
  if (!made)
    return made;
  if (!*made)
    return make_error(status_code::internal, "make_instance gives no instance and no error");
  const auto request = called("warm_up", [&] { return expected<inference_request>{model.warm_up()}; });
  if (!request)
    return request.error();
  if (const auto answer = run_one(**made, part_of_a_sequence(*request, model.describe(), random_), {}); !answer)
    return make_error(answer.error().code, "the warm-up request fails: " + answer.error().cause);
  return made;
}

expected<instance*> subject::worker() {
  if (worker_ && worker_->usable())
    return worker_.get();
  if (!model_) {
    auto loaded = load();
    if (!loaded)
      return loaded.error();
    model_ = *std::move(loaded);
  }
  auto made = make_worker(*model_);
  if (!made)
    return made.error();
  worker_ = *std::move(made);
  return worker_.get();
}

void subject::unload() {
  worker_.reset();
  model_.reset();
}

inference_request subject::make_request() {
  const auto& what = model_->describe();
  const auto which = random_() % (how_.examples.size() + 1);
  auto like = which < how_.examples.size() ? how_.examples[which] : model_->warm_up();
  return part_of_a_sequence(vary(std::move(like), what, random_), what, random_);
}

inference_request subject::make_random_request() {
  const auto& what = model_->describe();
  return part_of_a_sequence(make_up(what, random_), what, random_);
}

expected<std::vector<outcome>> run_all(instance& worker, std::span<const inference_request> requests,
                                       const cancel_token& token) {
  std::deque<tried_item> items;
  std::vector<work_item*> batch;
  for (const auto& request : requests)
    batch.push_back(&items.emplace_back(request, token));
  const auto done = run_contained(worker, batch, token);
  std::vector<outcome> outcomes;
  for (auto& item : items)
    outcomes.push_back(std::move(item.came_to));
  if (done)
    return outcomes;
  // What had its last word has it; a batch of one is its request.
  if (std::all_of(outcomes.begin(), outcomes.end(), [](const auto& each) { return each.ended; }))
    return outcomes;
  return done.error();
}

std::string difference(const std::vector<inference_response>& a, const std::vector<inference_response>& b,
                       double tolerance) {
  if (a.size() != b.size())
    return std::to_string(a.size()) + " responses, and " + std::to_string(b.size());
  for (std::size_t i = 0; i != a.size(); ++i) {
    if (a[i].outputs.size() != b[i].outputs.size())
      return std::to_string(a[i].outputs.size()) + " outputs, and " + std::to_string(b[i].outputs.size());
    for (std::size_t j = 0; j != a[i].outputs.size(); ++j)
      if (auto found = difference(a[i].outputs[j], b[i].outputs[j], tolerance); !found.empty())
        return found;
  }
  return "";
}

}  // namespace troupe::conformance
