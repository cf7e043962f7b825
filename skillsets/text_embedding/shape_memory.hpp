#pragma once

#include <openvino/core/shape.hpp>
#include <vector>

namespace troupe {

/// Tells which shape a graph may run with after a run that was stopped.
///
/// OpenVINO's CPU plug-in computes the shapes of many nodes ahead, but has each node remember the shape that it was
/// last executed with. A node that a stop kept from being executed has its output made for the stopped shape; when one
/// comes that the node remembers from before, it takes that for up to date, and what is computed is wrong. A run to the
/// end of a shape that no node remembers brings all of them into line.
///
/// Shapes are of texts: rows, and tokens of each. Some nodes see only one of the two, and some their product, so that a
/// shape is remembered when any of the three is.
class shape_memory {
 public:
  /// Whether a run of this shape can be trusted.
  bool may_run(const ov::Shape& shape) const;

  /// A small shape that can be.
  ov::Shape stranger() const;

  /// A run that could be trusted came to its end.
  void ended(const ov::Shape& shape);

  /// One was stopped.
  void stopped(const ov::Shape& shape);

 private:
  std::vector<ov::Shape> executed_;  // any node may have been last with one of these
  bool stopped_ = false;             // since a run came to its end
  ov::Shape prepared_;               // then: of the last that was stopped, which all nodes are made for
};

}  // namespace troupe
