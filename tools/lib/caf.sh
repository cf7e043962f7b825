# CAF built with ThreadSanitizer. Against Debian's library, which is not, TSan reports hundreds of races that are none.
# shellcheck shell=bash disable=SC2154

# The source lacks three includes that a newer standard library no longer brings along by itself.
caf_flags='-fsanitize=thread -O1 -g -fno-omit-frame-pointer -include limits -include string -include cstdint'

caf_entry() {
  printf '%s' "$cache/caf-tsan-$({ locked caf; printf '%s\n' "$caf_flags"; g++ -dumpfullversion; } | short_hash)"
}

step_caf() {
  begin caf
  local entry
  entry=$(caf_entry)
  if must_make "$entry"; then
    fetch_caf
    build_caf "$entry.partial"
    commit_entry "$entry"
  fi
  finish "$(locked caf | awk 'NR == 1 { print $2 }') with ThreadSanitizer"
}

# The upstream tarball of Debian's source package, by apt-get with lists and sources of its own: /etc stays as it is.
fetch_caf() {
  local name version hash file folder=$cache/downloads/.partial wanted=''
  while read -r name version hash file; do
    downloaded "$hash" "$file" || wanted=1
  done < <(locked caf)
  [[ $wanted ]] || return 0

  network "CAF's source"
  note "downloading the source package"
  rm -rf "$folder" && mkdir -p "$folder/lists/partial"
  source_lines >"$folder/sources.list"
  [[ -s $folder/sources.list ]] || die "apt knows no Debian 12 archive to take CAF's source from (is apt-get update due?)"
  local apt=(apt-get -q -o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$folder/lists" -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= -o APT::Sandbox::User=)
  logged "${apt[@]}" update
  read -r name version hash file < <(locked caf)
  (cd "$folder" && logged "${apt[@]}" source --download-only --tar-only "$name=$version")
  (cd "$folder" && logged "${apt[@]}" source --download-only --dsc-only "$name=$version")
  while read -r name version hash file; do keep_download "$hash" "$file" "$folder"; done < <(locked caf)
}

# The machine's own archive, asked for sources.
source_lines() {
  # shellcheck disable=SC2016  # $(…) are apt's
  apt-get indextargets --format \
    'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Identifier: Packages' 'Origin: Debian' 'Component: main' 'Release: bookworm' | sort -u
}

# build_caf FOLDER: builds the core library and installs it there. A break costs little, because ccache is asked.
build_caf() {
  local name version hash file source=$1/source
  read -r name version hash file < <(locked caf | grep 'orig\.tar')
  mkdir "$source"
  tar -xf "$cache/downloads/$hash/$file" -C "$source" --strip-components=1
  note "building its core (a few minutes)"
  logged cmake -S "$source" -B "$1/build" -G Ninja -Wno-dev --install-prefix "$1" \
    -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="$caf_flags" -DCMAKE_CXX_COMPILER_LAUNCHER=ccache \
    -DCAF_NO_IO=yes -DCAF_NO_OPENSSL=yes -DCAF_NO_OPENCL=yes -DCAF_NO_PYTHON=yes \
    -DCAF_NO_TOOLS=yes -DCAF_NO_EXAMPLES=yes -DCAF_NO_UNIT_TESTS=yes
  logged nice cmake --build "$1/build"
  logged cmake --install "$1/build"
  rm -rf "$1/build" "$source"
}
