-- Compiles what specs have in C: spec/host/NAME.c, or the library in another way, to what goes away with the specs. Each
-- of them once; that a spec's own compiles without a warning is part of the spec.

local helper = require "spec.helper"

local compile = {}

-- The first line that a command prints, or nil when it fails.
local function answer(command)
  local pipe <close> = assert(io.popen(command .. " 2>/dev/null"))
  local line = pipe:read()
  return pipe:close() and line
end

local function pkg_config(what, otherwise)
  return answer("pkg-config " .. what .. " lua5.4") or answer("pkg-config " .. what .. " lua-5.4") or otherwise
end

--- Arguments for what includes Lua's headers, and for what is linked with it.
compile.lua_headers = pkg_config("--cflags", "-I/usr/include/lua5.4")
compile.lua = pkg_config("--cflags --libs", "-I/usr/include/lua5.4 -llua5.4")

local built = {}

local function build(name, file, arguments)
  if not built[file] then
    local dir = helper.tempdir()
    local command = ("%s -std=gnu11 -g -Wall -Wextra -Werror -o %s/%s spec/host/%s.c %s -pthread")
      :format(os.getenv "CC" or "cc", dir, file, name, arguments)
    assert(os.execute(command), "cannot build: " .. command)
    built[file] = dir
  end
  return built[file]
end

--- The path of a program.
function compile.program(name, arguments) return build(name, name, arguments) .. "/" .. name end

--- The directory where the library NAME.so is.
function compile.library(name, arguments)
  return build(name, name .. ".so", "-shared -fPIC " .. (arguments or "") .. " " .. compile.lua_headers)
end

--- The directory where a core is that `make` builds with these variables.
function compile.core(variables)
  if not built[variables] then
    local dir = helper.tempdir()
    local ok = os.execute(("make -s -j2 all BUILD=%s %s >%s/log 2>&1"):format(dir, variables, dir))
    assert(ok, helper.read(dir .. "/log"))
    built[variables] = dir
  end
  return built[variables]
end

return compile
