#!/bin/sh
# tsan-lua.sh DIR
# Makes DIR/lua: Debian's Lua 5.4 compiled with the thread sanitizer, which then
# sees the races inside Lua too. It uses the system's Lua modules.
# Nothing outside DIR changes: the list of source packages is a private one.
set -eu

[ -x "$1/lua" ] && exit 0
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

echo "fetching the source of Lua 5.4 into $1 and compiling it"
apt update
(cd "$dir/source" && rm -rf lua5.4-* && apt source lua5.4 >/dev/null)

cd "$dir"/source/lua5.4-*/src
unset LUA_PATH LUA_CPATH LUA_PATH_5_4 LUA_CPATH_5_4 LUA_INIT LUA_INIT_5_4
gcc -std=gnu99 -O1 -g -fno-omit-frame-pointer -fsanitize=thread -w \
  -DLUA_USE_LINUX -DLUA_COMPAT_5_3 -DLUA_USE_APICHECK \
  -DLUA_PATH_DEFAULT="\"$(lua5.4 -e 'io.write(package.path)')\"" \
  -DLUA_CPATH_DEFAULT="\"$(lua5.4 -e 'io.write(package.cpath)')\"" \
  -o "$dir/lua.new" $(ls ./*.c | grep -v luac.c) -Wl,-E -lm -ldl
mv "$dir/lua.new" "$dir/lua"
