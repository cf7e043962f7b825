#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/text_generation/json_text.hpp"

namespace troupe {

/// Whether the engine can hold a text to every word of a JSON schema. It makes a grammar of one, and passes over what
/// no grammar can say, such as `multipleOf`: an answer could then be wrong under the schema, so such a schema is
/// refused before anything is generated. INVALID_ARGUMENT names the place and the word.
///
/// Held to: `type` (one or several), `properties`, `required`, `additionalProperties`, `items` and `prefixItems`,
/// `minItems`, `maxItems`, `minLength`, `maxLength`, `pattern` (anchored; letters, classes, groups, alternatives and
/// bounded repetition), `format` (date, time, date-time, uuid), `minimum` and `maximum` of integers, `enum`, `const`,
/// `anyOf`, `oneOf` where at most one can hold, and `$ref` into the schema itself.
expected<void> check_schema(const json& schema);

}  // namespace troupe
