#pragma once

#include "skillsets/sdk/conformance/conformance.hpp"

/// The checks, one function a point of the contract. What each stands for is said where they are listed, in
/// conformance.cpp.
namespace troupe::conformance {

// check_description.cpp
finding describes_itself(subject& whom);
finding loads_and_warms_up(subject& whom);
finding takes_its_options(subject& whom);
finding refuses_broken_files(subject& whom);

// check_answers.cpp
finding answers_as_it_says(subject& whom);
finding batch_equals_singles(subject& whom);
finding is_deterministic(subject& whom);
finding instances_agree(subject& whom);
finding survives_random_inputs(subject& whom);

// check_stopping.cpp
finding stops_when_cancelled(subject& whom);
finding stops_at_the_deadline(subject& whom);
finding stops_loading(subject& whom);

// check_steps.cpp
finding keeps_requests_apart(subject& whom);

// check_resources.cpp
finding gives_everything_back(subject& whom);

}  // namespace troupe::conformance
