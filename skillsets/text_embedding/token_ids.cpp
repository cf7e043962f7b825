#include "skillsets/text_embedding/token_ids.hpp"

#include <nlohmann/json.hpp>
#include <string>

namespace troupe {

expected<encoded_text> read_token_ids(std::string_view json, const token_limits& limits) {
  const auto ids = nlohmann::json::parse(json, nullptr, false);
  if (!ids.is_array())
    return make_error(status_code::invalid_argument, "is no JSON array of token ids", "send such as [101,7592,102]");
  encoded_text result;
  for (const auto& id : ids) {
    // As numbers of their own type: the library compares large ones as if they were negative.
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > static_cast<std::uint64_t>(limits.largest_id))
      return make_error(status_code::invalid_argument,
                        "has the token id " + shortened(id.dump(-1, ' ', true), 40) + " at " +
                            std::to_string(result.ids.size() + result.dropped),
                        "give ids from 0 to " + std::to_string(limits.largest_id));
    if (result.ids.size() < limits.most)
      result.ids.push_back(id.get<std::int64_t>());
    else
      ++result.dropped;
  }
  result.types.assign(result.ids.size(), 0);
  return result;
}

}  // namespace troupe
