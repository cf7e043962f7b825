#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

struct load_options {
  std::string model;
  std::vector<std::string> settings;  ///< lines of TOML
};

/// `KEY=VALUE` as a line of TOML; a value that is no number, true, false, quoted text, array or table there is text.
expected<std::string> parse_setting(std::string_view text);

/// Has the node load a model, or load it again.
expected<void> load(session& with, const load_options& options);

/// Has the node unload a model.
expected<void> unload(session& with, const std::string& model);

}  // namespace troupe::cli
