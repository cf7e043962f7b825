#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <memory>
#include <utility>

namespace troupe::triton_examples {

/// A model without weights: what it takes and gives, a request to warm it up, and a way to make instances.
template <class MakeInstance>
class simple_model final : public loaded_model {
 public:
  simple_model(signature what, inference_request warm_up, MakeInstance make)
      : signature_(std::move(what)), warm_up_(std::move(warm_up)), make_(std::move(make)) {}

  const signature& describe() const override { return signature_; }
  expected<std::unique_ptr<instance>> make_instance() override { return std::unique_ptr<instance>{make_()}; }
  inference_request warm_up() const override { return warm_up_; }

 private:
  signature signature_;
  inference_request warm_up_;
  MakeInstance make_;
};

template <class MakeInstance>
std::unique_ptr<loaded_model> make_simple_model(signature what, inference_request warm_up, MakeInstance make) {
  return std::make_unique<simple_model<MakeInstance>>(std::move(what), std::move(warm_up), std::move(make));
}

}  // namespace troupe::triton_examples
