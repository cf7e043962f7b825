#include "actors/concurrency/sleep.hpp"
#include "actors/concurrency/wait.hpp"
#include "skillsets/triton_examples/elements.hpp"
#include "skillsets/triton_examples/tasks.hpp"

#include <charconv>
#include <string>

namespace troupe::triton_examples {
namespace {

/// Sequences that run together.
constexpr std::int64_t most_items = 64;

constexpr std::int64_t longest_delay_ms = 600'000;

/// Waits for as long as the request says in `delay_ms`.
expected<void> await_delay(const work_item& item) {
  const auto& parameters = item.request().parameters;
  const auto i = parameters.find("delay_ms");
  if (i == parameters.end())
    return {};
  const auto* delay = std::get_if<std::int64_t>(&i->second);
  if (!delay || *delay < 0 || *delay > longest_delay_ms)
    return make_error(status_code::invalid_argument, "parameter 'delay_ms' is wrong",
                      "give an integer of 0 to " + std::to_string(longest_delay_ms));
  const auto token = item.token();
  return wait(sleep_for(std::chrono::milliseconds{*delay}, token), token);
}

/// The id as a number, modulo 2^32 as the sums are. INVALID_ARGUMENT for a text that is none.
expected<std::uint32_t> number_of(const sequence_id& id) {
  if (const auto* number = std::get_if<std::uint64_t>(&id))
    return static_cast<std::uint32_t>(*number);
  const auto& text = std::get<std::string>(id);
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size())
    return make_error(status_code::invalid_argument, "the sequence id '" + text + "' is no number",
                      "the model adds it to the last answer; give a number");
  return static_cast<std::uint32_t>(number);
}

class sequence_instance final : public instance {
 public:
  explicit sequence_instance(const sequence_task& what) : what_(what) {}

  expected<void> run(std::span<work_item* const> batch, const cancel_token&) override {
    for (auto* item : batch)
      if (const auto waited = await_delay(*item); waited)
        work_on(*item);
      else
        item->respond(waited.error());
    return {};
  }

 private:
  void work_on(work_item& item) const {
    const auto& input = item.request().inputs.front();
    const auto& part = *item.request().sequence;
    // Unsigned, so that it wraps around.
    auto value = static_cast<std::uint32_t>(elements_of<std::int32_t>(input).front());
    if (what_.sums) {
      if (const auto* sum = std::any_cast<std::uint32_t>(&item.state()))
        value += *sum;
      item.set_state(value);
    } else if (part.start) {
      ++value;
    }
    if (what_.adds_id && part.end) {
      const auto number = number_of(part.id);
      if (!number)
        return item.respond(number.error());
      value += *number;
    }
    inference_response response;
    response.outputs.push_back(
        vector_tensor<std::int32_t>("OUTPUT", datatype::int32, {static_cast<std::int32_t>(value)}));
    response.outputs.front().shape = input.shape;
    item.respond(std::move(response));
  }

  const sequence_task what_;
};

class sequence_model final : public loaded_model {
 public:
  explicit sequence_model(const sequence_task& what) : what_(what) {
    signature_ = {{{"INPUT", datatype::int32, {-1, 1}}}, {{"OUTPUT", datatype::int32, {-1, 1}}}};
    signature_.batches = signature_.stateful = true;
  }

  const signature& describe() const override { return signature_; }
  batch_policy batching() const override { return {.limits = {.items = most_items}}; }
  expected<std::unique_ptr<instance>> make_instance() override {
    return std::unique_ptr<instance>{std::make_unique<sequence_instance>(what_)};
  }
  inference_request warm_up() const override {
    auto input = vector_tensor<std::int32_t>("INPUT", datatype::int32, {1});
    input.shape = {1, 1};
    return {{std::move(input)}, {}, sequence_part{std::uint64_t{1}, true, true}};
  }

 private:
  signature signature_;
  const sequence_task what_;
};

}  // namespace

std::unique_ptr<loaded_model> make_sequences(const sequence_task& what) {
  return std::make_unique<sequence_model>(what);
}

}  // namespace troupe::triton_examples
