#!/bin/sh
# tsan-lua.sh DIR
# Makes DIR/lua: Debian's Lua 5.4 compiled with the thread sanitizer, which then
# sees the races inside Lua too. It uses the system's Lua modules.
set -eu

[ -x "$1/lua" ] && exit 0
tools=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
"$tools/lua-source.sh" "$dir"
echo "compiling Lua with the thread sanitizer"

cd "$dir"/source/lua5.4-*/src
unset LUA_PATH LUA_CPATH LUA_PATH_5_4 LUA_CPATH_5_4 LUA_INIT LUA_INIT_5_4
gcc -std=gnu99 -O1 -g -fno-omit-frame-pointer -fsanitize=thread -w \
  -DLUA_USE_LINUX -DLUA_COMPAT_5_3 -DLUA_USE_APICHECK \
  -DLUA_PATH_DEFAULT="\"$(lua5.4 -e 'io.write(package.path)')\"" \
  -DLUA_CPATH_DEFAULT="\"$(lua5.4 -e 'io.write(package.cpath)')\"" \
  -o "$dir/lua.new" $(ls ./*.c | grep -v luac.c) -Wl,-E -lm -ldl
mv "$dir/lua.new" "$dir/lua"
