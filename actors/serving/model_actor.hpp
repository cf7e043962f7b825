#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/serving/model_folder.hpp"
#include "actors/supervision/supervisor_report.hpp"

#include <caf/actor.hpp>
#include <caf/atom.hpp>
#include <caf/fwd.hpp>

#include <functional>
#include <memory>

namespace troupe {

class device_table;
class load_trial;
class router;

/// What the actors of a node's models share.
struct model_context {
  std::shared_ptr<device_table> devices;
  std::shared_ptr<router> routes;
  std::function<void(error)> on_fatal;  ///< a model that the node can't be without can't be served; thread-safe
  report_sink on_report = {};           ///< of the models' supervisors

  /// What files must have passed that are to be loaded in the node; null: any are.
  std::shared_ptr<load_trial> trial = {};
};

/// Who wants a model to be loaded.
enum class load_cause : std::uint8_t {
  start,    ///< the node, for which it may be fatal that the model can't be loaded
  request,  ///< somebody who is told how it went
};

/// Answered once the model is READY, or with the reason why it is not.
using loaded_atom = caf::atom_constant<caf::atom("loaded")>;

/// With the longest time to take, in milliseconds: lets no request in any more, and is answered when the last one is
/// out or the time is up.
using drain_atom = caf::atom_constant<caf::atom("drain")>;

/// Spawns the owner of one model. Once started it enters the model in the router as LOADING, checks and loads its
/// files on the device's pool, and supervises its instances; the model is READY when every one of them has answered
/// its warm-up request. Where one of this name is READY already, that one serves until then, and this takes its place.
/// When it can't be, or its instances keep failing, the model is UNAVAILABLE with the reason, and if its folder says so
/// the node is told that it must end.
caf::actor spawn_model(caf::actor_system& system, model_folder folder, model_context context, load_cause cause);

}  // namespace troupe
