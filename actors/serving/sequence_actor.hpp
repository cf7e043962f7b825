#pragma once

#include "actors/concurrency/clock.hpp"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <memory>

namespace troupe {

class served_model;

/// Spawns the owner of a stateful model's sequences. Once started it is the one that the model's requests come to. When
/// it ends, all sequences do: what waits for its turn is UNAVAILABLE, and whoever goes on with a sequence is told to
/// start it again.
caf::actor spawn_sequences(caf::actor_system& system, std::shared_ptr<served_model> model,
                           troupe::clock& time = real_clock());

}  // namespace troupe
