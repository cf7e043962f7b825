/// The one symbol of a shared object that has no skillset.
extern "C" __attribute__((visibility("default"))) int no_skillset() {
  return 0;
}
