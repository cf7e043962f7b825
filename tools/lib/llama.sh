# llama.cpp, built from the sources that the Python package llama-cpp-python carries: the library with what its programs
# share (`common`), and for the benchmark its server.
# shellcheck shell=bash disable=SC2154

# No instruction that an x86_64 lacks outside of the variants for processors, of which ggml picks one when it is loaded:
# what is installed runs on other machines too. All objects lie in one folder and find each other there.
llama_flags=(
  -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON "-DCMAKE_INSTALL_RPATH=\$ORIGIN"
  -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_BINDIR=lib
  -DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF
  -DLLAMA_BUILD_NUMBER=0 -DLLAMA_BUILD_COMMIT=unknown -DLLAMA_BUILD_COMMON=ON -DLLAMA_OPENSSL=OFF
  -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
  -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
)
llama_library_flags=("${llama_flags[@]}" -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF)
llama_server_flags=("${llama_flags[@]}" -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON)

# llama_entry NAME FLAG…: keyed by the sources, the flags and the compiler.
llama_entry() {
  printf '%s' "$cache/$1-$({ locked llama; printf '%s\n' "${@:2}"; g++ -dumpfullversion; } | short_hash)"
}
llama_library_entry() { llama_entry llama "${llama_library_flags[@]}"; }
llama_server_entry() { llama_entry llama-server "${llama_server_flags[@]}"; }

step_llama() {
  begin llama.cpp
  llama=$(llama_library_entry)
  if must_make "$llama"; then
    note "building it (ten minutes of CPU time, once)"
    build_llama "$llama.partial" all "${llama_library_flags[@]}"
    logged cmake --install "$llama.partial/build" --strip
    lay_common_headers "$llama.partial/source" "$llama.partial/include/llama-common"
    rm -rf "$llama.partial/build" "$llama.partial/source"
    commit_entry "$llama"
  fi
  finish "of llama-cpp-python $(locked llama | cut -d' ' -f2)"
}

# The peer of bench/llm. Its build installs all of llama.cpp's tools or none, so what the server needs is copied.
step_llama_server() {
  begin llama.cpp
  local entry
  entry=$(llama_server_entry)
  if must_make "$entry"; then
    note "building its server"
    build_llama "$entry.partial" llama-server "${llama_server_flags[@]}"
    cp -a "$entry.partial/build/bin" "$entry.partial/lib"
    rm -rf "$entry.partial/build" "$entry.partial/source"
    commit_entry "$entry"
  fi
  finish "llama-server"
}

# build_llama FOLDER TARGET FLAG…: unpacks the sources in FOLDER/source and builds the target in FOLDER/build. Paths are
# relative for ccache, so that a break costs little, and so that the server has the library's objects again.
build_llama() {
  local name version hash file folder=$1 target=$2
  fetch_llama
  read -r name version hash file < <(locked llama)
  mkdir "$folder/source"
  tar -xf "$cache/downloads/$hash/$file" -C "$folder/source" --strip-components=3 --wildcards '*/vendor/llama.cpp'
  logged cmake -S "$folder/source" -B "$folder/build" -G Ninja -Wno-dev --install-prefix "$folder" \
    -DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache "${@:3}"
  CCACHE_BASEDIR=$folder logged nice cmake --build "$folder/build" --target "$target"
}

# pip asks a source package for its metadata before it lets anybody have it, and so runs what builds it: from wheels that
# are pinned, too.
fetch_llama() {
  local name version hash file folder=$cache/downloads/.partial
  read -r name version hash file < <(locked llama)
  ! downloaded "$hash" "$file" || return 0
  network "llama.cpp's source"
  fetch_wheels llama-pip
  find_python pip 'sys.version_info >= (3, 11)' || die "found no Python 3.11 or newer that has pip"
  note "downloading $name $version"
  rm -rf "$folder" && mkdir -p "$folder/pip"
  printf '%s==%s --hash=sha256:%s\n' "$name" "$version" "$hash" >"$folder/requirements.txt"
  while read -r name version hash file; do
    logged unzip -q "$cache/downloads/$hash/$file" -d "$folder/pip"
  done < <(locked llama-pip)
  PYTHONPATH=$folder/pip logged "$python" -m pip --disable-pip-version-check --no-cache-dir download --no-deps \
    --require-hashes --no-binary :all: --no-build-isolation --dest "$folder" --requirement "$folder/requirements.txt"
  read -r name version hash file < <(locked llama)
  keep_download "$hash" "$file" "$folder"
}

# lay_common_headers SOURCE FOLDER: those of `common`, which its build doesn't install.
lay_common_headers() {
  mkdir -p "$2/jinja"
  cp "$1"/common/*.h "$2"
  cp "$1"/common/jinja/*.h "$2/jinja"
}
