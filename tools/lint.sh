#!/bin/sh
# lint.sh ROCKSPEC COMPILER-FLAGS...
# Runs every check that needs no running program; ends with "N passed, N failed".
set -u

rockspec=$1
shift
passed=0 failed=0

# check NAME COMMAND...: runs it, shows what it says only if it fails.
check() {
  name=$1
  shift
  if out=$("$@" 2>&1); then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    failed=$((failed + 1))
    printf '%s\nFAILED  %s\n' "$out" "$name"
  fi
}

# lua_files: the folders that hold Lua, without those that do not exist.
lua_files() {
  for file in lua spec examples bench tools "$rockspec"; do
    [ -e "$file" ] && echo "$file"
  done
}

check "luacheck" luacheck --quiet $(lua_files)
for source in src/*.c bench/*.c spec/fuzz/*.c; do
  [ -f "$source" ] || continue
  for compiler in gcc clang; do
    check "$compiler $source" "$compiler" "$@" -Werror -c "$source" -o /dev/null
  done
done
check "the rockspec lists every file" "${LUA:-lua5.4}" tools/rockspec.lua "$rockspec"
check "luarocks lint" luarocks lint "$rockspec"
check "shell scripts" sh -n tools/install.sh tools/lint.sh tools/specs.sh tools/tsan-lua.sh \
  tools/lua-source.sh tools/fuzz.sh

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
