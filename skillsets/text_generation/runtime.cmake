# Installs llama.cpp where the skillset's run path points: the libraries, and the variants of the back end for processors,
# of which it picks one when it is loaded. All of them look for each other beside themselves.
file(GLOB libraries LIST_DIRECTORIES false "${TROUPE_LLAMA}/lib/*.so*")
install(PROGRAMS ${libraries} DESTINATION lib/troupe/llama)
