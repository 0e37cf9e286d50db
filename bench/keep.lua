-- keep.lua
-- Keeps the results of a whole run: as a table and a drawing in `bench/`, and as a shorter table in the README; each with
-- a line on when, and on what machine, they were measured.

local report = require "bench.report"
local svg = require "bench.svg"

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

-- The first line that a command prints.
local function ask(command)
  local pipe <close> = assert(io.popen(command .. " 2>/dev/null"))
  return pipe:read "l" or "?"
end

-- The day; how many processors this program may use, the system, the version of Lua.
local function about()
  local processors, system = ask "nproc", ask "uname -sr"
  local lua = ask("'" .. arg[-1] .. "' -v"):match "^%S+ %S+" or _VERSION
  return ("%s · %s processors · %s · %s"):format(os.date "%Y-%m-%d", processors, system:match "^[%w ]+[%d.]+", lua)
end

-- Writes all of them; `root` is the project's folder.
return function(results, root)
  local line = about()
  write(root .. "bench/results.txt", line .. "\n\n" .. report.text(results))
  write(root .. "bench/results.svg", svg.draw(results, line))
  write(root .. "README.md", report.refresh(read(root .. "README.md"), results, line))
end
