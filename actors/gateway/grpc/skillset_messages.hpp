#pragma once

namespace troupe {

namespace node::v1 {
class Skillset;
}

struct skillset_listing;

/// A skillset as troupe.node.v1 says it.
void describe_skillset(const skillset_listing& listing, node::v1::Skillset& to);

}  // namespace troupe
