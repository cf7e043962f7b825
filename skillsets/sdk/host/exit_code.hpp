#pragma once

namespace troupe {

/// What a host ends with; the numbers are those of <sysexits.h>.
enum class host_exit : int {
  ok = 0,         ///< the node has closed its end of the socket
  usage = 64,     ///< wrong arguments, or descriptor 3 is not what it should be
  contract = 65,  ///< the node said what host.proto doesn't allow
  missing = 66,   ///< the plug-in is not there
  internal = 70   ///< the plug-in can't be opened or described, or the host itself failed
};

}  // namespace troupe
