#pragma once

namespace inference {
class ModelStatistics;
}

namespace troupe {

class served_model;

/// What a model has done, as Triton's statistics extension says it. Its `fail` counts everything that was not answered
/// with success: what the skillset refused or failed at, what was cancelled, and what was not admitted or waited too
/// long, which adds no time.
void describe_statistics(served_model& model, inference::ModelStatistics& to);

}  // namespace troupe
