#pragma once

#include "skillsets/sdk/run_one.hpp"

#include <any>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// For the tests of skillsets.
namespace troupe::testing_support {

/// The one response of a request that runs alone.
inline expected<inference_response> respond(instance& worker, const inference_request& request,
                                            const cancel_token& token = {}) {
  auto responses = run_one(worker, request, token);
  if (!responses)
    return std::move(responses).error();
  if (responses->size() != 1)
    return make_error(status_code::internal, std::to_string(responses->size()) + " responses where one was due");
  return std::move(responses->front());
}

/// A request of a batch that remembers its answers.
class recorded_item final : public work_item {
 public:
  explicit recorded_item(inference_request what, cancel_token token = {})
      : request_(std::move(what)), token_(std::move(token)) {}

  const inference_request& request() const noexcept override { return request_; }
  cancel_token token() const noexcept override { return token_; }
  void send(inference_response response) override { responses.push_back(std::move(response)); }
  void respond(expected<inference_response> answer) override { last.emplace(std::move(answer)); }
  void complete() override { completed = true; }
  const std::any& state() const noexcept override { return before; }
  void set_state(std::any state) override { after = std::move(state); }

  std::vector<inference_response> responses;
  std::optional<expected<inference_response>> last;
  bool completed = false;
  std::any before;  ///< the state of its sequence
  std::any after;   ///< that it leaves

 private:
  inference_request request_;
  cancel_token token_;
};

/// A continuous engine that counts: with each step every request gets its next number, from 1 up to the one that it
/// asks for.
class counting_instance final : public continuous_instance {
 public:
  explicit counting_instance(std::size_t capacity = 2) : capacity_(capacity) {}

  static signature describe() { return {{{"n", datatype::int32, {1}}}, {{"k", datatype::int32, {1}}}, false, true}; }

  static inference_request up_to(std::int32_t n) {
    return {{tensor{"n", datatype::int32, {1}, buffer::take(std::vector{n})}}, {}};
  }

  std::size_t capacity() const noexcept override { return capacity_; }

  expected<void> admit(work_item& item) override {
    const auto n = number(item.request().inputs.front());
    if (n < 1)
      return make_error(status_code::invalid_argument, "can't count to " + std::to_string(n));
    in.push_back({&item, n, 0});
    return {};
  }

  expected<void> step() override {
    ++steps;
    if (auto allowed = on_step(in.size()); !allowed)
      return allowed;
    std::erase_if(in, [](auto& each) {
      inference_response next{{tensor{"k", datatype::int32, {1}, buffer::take(std::vector{++each.k})}}, {}};
      each.k == each.n ? each.item->respond(std::move(next)) : each.item->send(std::move(next));
      return each.k == each.n;
    });
    return {};
  }

  void evict(work_item& item) noexcept override {
    evicted += static_cast<int>(std::erase_if(in, [&](const auto& each) { return each.item == &item; }));
  }

  void interrupt() noexcept override { ++interrupts; }

  static std::vector<metric_spec> metrics() {
    return {{"steps", "Steps that were done", metric_spec::kind::counter},
            {"guests", "Requests that are in", metric_spec::kind::gauge}};
  }

  void measure(std::span<double> values) const noexcept override {
    values[0] = steps;
    values[1] = static_cast<double>(in.size());
  }

  static std::int32_t number(const tensor& of) {
    std::int32_t value = 0;
    std::memcpy(&value, of.data.bytes().data(), sizeof value);
    return value;
  }

  struct guest {
    work_item* item;
    std::int32_t n;
    std::int32_t k;
  };

  std::vector<guest> in;
  int steps = 0;
  std::atomic<int> evicted = 0;
  std::atomic<int> interrupts = 0;
  std::function<expected<void>(std::size_t)> on_step = [](std::size_t) { return expected<void>{}; };

 private:
  const std::size_t capacity_;
};

/// A skillset whose models have such an engine.
class counting_skillset final : public skillset {
 public:
  std::string_view name() const override { return "counting"; }
  std::string_view platform() const override { return "test"; }
  std::vector<option_spec> options() const override { return {}; }
  expected<std::unique_ptr<loaded_model>> load(const model_settings&, const cancel_token&) override {
    return std::unique_ptr<loaded_model>{std::make_unique<model>(*this)};
  }

  /// Done to an engine before it is used.
  std::function<void(counting_instance&)> on_make = [](counting_instance&) {};

 private:
  class model final : public loaded_model {
   public:
    explicit model(counting_skillset& of) : owner_(of) {}
    const signature& describe() const override { return signature_; }
    expected<std::unique_ptr<instance>> make_instance() override {
      auto made = std::make_unique<counting_instance>();
      owner_.on_make(*made);
      return std::unique_ptr<instance>{std::move(made)};
    }
    inference_request warm_up() const override { return counting_instance::up_to(1); }
    std::vector<metric_spec> metrics() const override { return counting_instance::metrics(); }

   private:
    counting_skillset& owner_;
    const signature signature_ = counting_instance::describe();
  };
};

}  // namespace troupe::testing_support
