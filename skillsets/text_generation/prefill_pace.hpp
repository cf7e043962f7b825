#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace troupe {

/// How many tokens of prompts fit into a step of so much time beside others that wait for it, by how long steps have
/// taken lately.
class prefill_pace {
 public:
  using duration = std::chrono::duration<double>;

  prefill_pace(std::size_t least, std::size_t most) : least_(least), most_(most) {}

  /// For a step in which `others` texts get a token each.
  std::size_t tokens(duration step, std::size_t others) const {
    if (others == 0)
      return most_;
    const auto fit = step / per_token_ - static_cast<double>(others);
    return std::clamp(fit > 0 ? static_cast<std::size_t>(fit) : 0, least_, most_);
  }

  /// A step with so many tokens took so long.
  void observe(std::size_t tokens, duration took) {
    per_token_ += (took / static_cast<double>(tokens) - per_token_) / 8;
  }

 private:
  const std::size_t least_;
  const std::size_t most_;
  duration per_token_ = std::chrono::milliseconds{4};
};

}  // namespace troupe
