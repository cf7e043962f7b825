#pragma once

#include <string>
#include <string_view>

namespace troupe {

/// What is in a regular expression that a text can't be held to, or that would cost the engine without bound; empty
/// when nothing is. Allowed are `^…$` around plain characters, classes such as `[a-z0-9_]`, groups, alternatives in
/// groups, and `?`, `*`, `+` and `{m,n}`; what repeats without an end must not be inside what does.
std::string pattern_problem(std::string_view pattern);

}  // namespace troupe
