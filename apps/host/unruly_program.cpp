/// The skillset of unruly.cpp as a program of its own, which a host becomes.

#include "skillsets/sdk/host/host_server.hpp"

extern "C" troupe::skillset* troupe_skillset();

int main() {
  static troupe::host_server server{3};
  return static_cast<int>(server.serve(*troupe_skillset()));
}
