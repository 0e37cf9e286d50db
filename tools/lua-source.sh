#!/bin/sh
# lua-source.sh DIR
# Fetches the source of Debian's Lua 5.4 as DIR/source/lua5.4-*/src.
# Nothing outside DIR changes: the list of source packages is a private one.
set -eu

[ -d "$(echo "$1"/source/lua5.4-*/src)" ] && exit 0
mkdir -p "$1/apt/lists/partial" "$1/apt/archives/partial" "$1/source"
dir=$(cd "$1" && pwd)

if [ -f /etc/apt/sources.list.d/debian.sources ]; then
  list=$dir/apt/source.sources
  sed 's/^Types:.*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$list"
else
  list=$dir/apt/source.list
  sed -n 's/^deb\(-src\)\{0,1\} /deb-src /p' /etc/apt/sources.list | sort -u >"$list"
fi

apt() {
  apt-get -qq -o "Dir::Etc::sourcelist=$list" -o Dir::Etc::sourceparts=/dev/null \
    -o "Dir::State::lists=$dir/apt/lists" -o "Dir::Cache=$dir/apt" \
    -o "APT::Sandbox::User=$(id -un)" "$@"
}

echo "fetching the source of Lua 5.4 into $1"
apt update
(cd "$dir/source" && rm -rf lua5.4-* && apt source lua5.4 >/dev/null)
