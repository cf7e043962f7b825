# The Debian packages of tools/packages.txt, and where Rust is.
# shellcheck shell=bash disable=SC2154,SC2034

rust_wanted=1.80

# packages [rust]: "package command" of each line that every machine needs, or of those that bring Rust.
packages() {
  sed 's/#.*//' "$root/tools/packages.txt" |
    awk -v group="${1:-}" 'NF { rust = $1 == "rust"; if (rust) sub(/rust +/, ""); if (rust == (group == "rust")) print $1, $2 }'
}

step_packages() {
  begin packages
  if [[ ! -r /etc/os-release ]] || ! grep -q '^VERSION_CODENAME=bookworm' /etc/os-release; then
    packages_elsewhere
    return
  fi
  local wanted missing
  wanted=$(packages)
  find_rust || wanted+=$'\n'$(packages rust)
  missing=$(missing_packages "$wanted")
  if [[ $missing ]]; then
    network "${missing//$'\n'/, }"
    note "installing ${missing//$'\n'/ }"
    # shellcheck disable=SC2086  # one word a package
    install_packages $missing
  fi
  find_rust || die "found no Rust $rust_wanted or newer, not even after installing Debian's cargo-web"
  finish "all $(wc -l <<<"$wanted") there"
}

# missing_packages "PACKAGE COMMAND…": those that dpkg does not have installed.
missing_packages() {
  local names installed
  names=$(cut -d' ' -f1 <<<"$1" | sort)
  # shellcheck disable=SC2086  # one word a package
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $names 2>/dev/null | awk '$1 == "ii" { print $2 }' | sort)
  comm -23 <(printf '%s\n' "$names") <(printf '%s\n' "$installed")
}

install_packages() {
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      die "needs root to install packages and found no sudo; as root: apt-get install --no-install-recommends $*"
    as_root=(sudo)
  fi
  logged "${as_root[@]}" apt-get -q -o DPkg::Lock::Timeout=600 update
  logged "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 install \
    --no-install-recommends --no-remove "$@"
}

# Another system: its packages have other names, so say which ones are meant and go on if their commands are there.
packages_elsewhere() {
  local package command absent=()
  while read -r package command; do
    [[ $command == - ]] || command -v "$command" >/dev/null || absent+=("$command (Debian's $package)")
  done < <(packages)
  find_rust || absent+=("cargo and rustc $rust_wanted or newer")
  if ((${#absent[@]})); then
    printf 'tools/setup: not found: %s\n' "${absent[@]}" >&2
    die "packages are installed by themselves on Debian 12 only; here, please install what tools/packages.txt lists"
  fi
  finish "not Debian 12: install what tools/packages.txt lists yourself; its commands were all found"
}

# find_rust: sets rust_bin to the folder with a cargo and rustc that are new enough, those of PATH first. Debian's
# cargo-web puts its own into /usr/bin.
find_rust() {
  local cargo folder version
  for cargo in "$(command -v cargo || true)" /usr/bin/cargo; do
    folder=${cargo%/*}
    [[ $cargo && -x $cargo && -x $folder/rustc ]] || continue
    version=$("$folder/rustc" --version 2>/dev/null) || continue
    if printf '%s\n%s\n' "$rust_wanted" "$(cut -d' ' -f2 <<<"$version")" | sort --check=quiet --version-sort; then
      rust_bin=$folder
      rust_version=$version
      return
    fi
  done
  return 1
}
